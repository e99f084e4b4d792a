const words = (text: string): ReadonlySet<string> => new Set(text.split(' '))

const yes = words(
  'y yes yep yeah ok okay sure allow approve approved confirm confirmed go proceed j ja jo jawohl klar gern gerne erlauben erlaube erlaubt genehmigen genehmigt bestätigen bestätigt mach los',
)
const no = words(
  'n no nope nah deny denied reject refuse cancel stop abort don’t dont nein ne nö nicht ablehnen abgelehnt abbrechen abbruch verweigern verboten stopp',
)
const always = words('a always immer')
const never = words('never nie niemals')
const filler = words('please bitte do it das the that mach thanks danke ahead now jetzt')
const mostWords = 4

/** What a person says to a question of permission. */
export interface Answer {
  readonly decision: 'approve' | 'deny'
  /** Whom it holds for from now on: the agent that asks, or all; null for this call alone. */
  readonly remember: 'agent' | 'all' | null
}

/** The choices of the question, by the numbers that the system gives them. */
export const choices = {
  once: { id: '1', decision: 'approve', remember: null },
  always: { id: '2', decision: 'approve', remember: 'agent' },
  everyone: { id: '3', decision: 'approve', remember: 'all' },
  deny: { id: '4', decision: 'deny', remember: null },
  never: { id: '5', decision: 'deny', remember: 'agent' },
} as const satisfies Readonly<Record<string, Answer & { readonly id: string }>>

/**
 * The answer that a message is: a number of the question, or words in the system's languages that all say the same. A
 * sentence that merely begins with "yes" answers nothing.
 */
export function answerIn(message: string): Answer | null {
  const number = message.trim().replace(/[.)]$/, '')
  const numbered = Object.values(choices).find(({ id }) => id === number)
  if (numbered) return numbered
  const spoken = message
    .toLowerCase()
    .replaceAll("'", '’')
    .split(/[^\p{L}’]+/u)
    .filter((word) => word !== '')
  if (spoken.length > mostWords) return null
  const said = spoken.filter((word) => !filler.has(word) || yes.has(word))
  const [forever, plain] = [said.filter(isForever), said.filter(isPlain)]
  if (said.length === 0 || forever.length + plain.length < said.length) return null
  const [allYes, allNo] = [plain.every((word) => yes.has(word)), plain.every((word) => no.has(word))]
  if (forever.length === 0) return allYes ? choices.once : allNo ? choices.deny : null
  // "Never allow" refuses, and so does "always deny".
  if (forever.every((word) => never.has(word))) return choices.never
  if (forever.some((word) => never.has(word))) return null
  return allYes ? choices.always : allNo ? choices.never : null
}

const isForever = (word: string): boolean => always.has(word) || never.has(word)
const isPlain = (word: string): boolean => yes.has(word) || no.has(word)
