const yes = new Set(
  'y yes yep yeah ok okay sure allow approve approved confirm confirmed go proceed j ja jo jawohl klar gern gerne erlauben erlaube erlaubt genehmigen genehmigt bestätigen bestätigt mach los'.split(
    ' ',
  ),
)
const no = new Set(
  'n no nope nah deny denied reject refuse cancel stop abort never don’t dont nein ne nö nicht ablehnen abgelehnt abbrechen abbruch verweigern verboten stopp'.split(
    ' ',
  ),
)
const filler = new Set('please bitte do it das the that mach thanks danke ahead now jetzt'.split(' '))
const mostWords = 4

/**
 * The decision that a message is, in the system's languages: every word of it says the same. A sentence that merely
 * begins with "yes" decides nothing.
 */
export function decisionIn(message: string): 'approve' | 'deny' | null {
  const words = message
    .toLowerCase()
    .replaceAll("'", '’')
    .split(/[^\p{L}’]+/u)
    .filter((word) => word !== '')
  const said = words.filter((word) => !filler.has(word) || yes.has(word))
  if (said.length === 0 || words.length > mostWords) return null
  if (said.every((word) => no.has(word))) return 'deny'
  return said.every((word) => yes.has(word)) ? 'approve' : null
}
