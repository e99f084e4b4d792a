/** A text made comparable: lower-case letters and digits, everything else one space. */
export interface Folded {
  readonly words: string
  /** Where in the source each character of `words` begins and ends. */
  readonly starts: readonly number[]
  readonly ends: readonly number[]
  /** Ways of writing that hide what is written. */
  readonly disguises: readonly Disguise[]
}

export type Disguise = 'spaced-letters' | 'look-alikes' | 'styled-letters' | 'invisible' | 'direction'

/** Letters of other scripts that look Latin. NFKC keeps them apart. */
const lookAlikes: ReadonlyMap<string, string> = new Map(
  Object.entries({
    а: 'a',
    в: 'b',
    е: 'e',
    ё: 'e',
    к: 'k',
    м: 'm',
    н: 'h',
    о: 'o',
    р: 'p',
    с: 'c',
    т: 't',
    у: 'y',
    х: 'x',
    ѕ: 's',
    і: 'i',
    ї: 'i',
    ј: 'j',
    ԁ: 'd',
    ԛ: 'q',
    ԝ: 'w',
    ɡ: 'g',
    ո: 'n',
    ս: 'u',
    հ: 'h',
    α: 'a',
    ε: 'e',
    ι: 'i',
    κ: 'k',
    ν: 'v',
    ο: 'o',
    ρ: 'p',
    τ: 't',
    υ: 'u',
    χ: 'x',
  }),
)

/** More styled letters than a formula or a brand name has. */
const fewStyled = 8
/** The flags of England, Scotland and Wales are written with up to six tags each. */
const fewTags = 20
const mixedWordLength = 4
const longestExpansion = 4

interface Reading {
  /** One character each: a string that grows and is read in between is copied every time. */
  readonly words: string[]
  readonly starts: number[]
  readonly ends: number[]
  latin: number
  foreign: number
  mixed: boolean
  styled: number
  invisible: number
  tags: number
  direction: boolean
}

/** Folds a text in time linear in its length. */
export function fold(source: string): Folded {
  const reading: Reading = {
    words: [],
    starts: [],
    ends: [],
    latin: 0,
    foreign: 0,
    mixed: false,
    styled: 0,
    invisible: 0,
    tags: 0,
    direction: false,
  }
  for (let at = 0; at < source.length; ) {
    const unit = source.charCodeAt(at)
    if (unit < 0x80) {
      readAscii(reading, unit, at)
      at += 1
    } else {
      const character = String.fromCodePoint(source.codePointAt(at) ?? unit)
      readOther(reading, character, at, source)
      at += character.length
    }
  }
  endWord(reading)
  const words = reading.words.join('')
  const joined = joinSpacedLetters(words, reading)
  const { starts, ends, styled, mixed, invisible, tags, direction } = reading
  const disguises: Disguise[] = []
  if (joined) disguises.push('spaced-letters')
  if (mixed) disguises.push('look-alikes')
  if (styled >= fewStyled) disguises.push('styled-letters')
  if (invisible > 0 || tags > fewTags) disguises.push('invisible')
  if (direction) disguises.push('direction')
  return { words: joined?.words ?? words, starts: joined?.starts ?? starts, ends: joined?.ends ?? ends, disguises }
}

function readAscii(reading: Reading, unit: number, at: number): void {
  const upper = unit >= 0x41 && unit <= 0x5a
  const letter = upper || (unit >= 0x61 && unit <= 0x7a)
  if (letter) reading.latin += 1
  if (letter || (unit >= 0x30 && unit <= 0x39)) push(reading, String.fromCharCode(upper ? unit + 32 : unit), at, at + 1)
  else gap(reading, at, at + 1)
}

function readOther(reading: Reading, character: string, at: number, source: string): void {
  const end = at + character.length
  const code = character.codePointAt(0) ?? 0
  if (code >= 0xe0020 && code <= 0xe007e) {
    // Tags are invisible and mirror ASCII: a model reads them as text.
    reading.tags += 1
    readAscii(reading, code - 0xe0000, at)
    if (reading.ends.length > 0) reading.ends[reading.ends.length - 1] = end
    return
  }
  if (/\p{Cf}|\p{M}/u.test(character)) {
    if (code === 0x202d || code === 0x202e) reading.direction = true
    // A soft hyphen is what typesetting leaves behind.
    else if (code !== 0xad && !/\p{M}/u.test(character) && isLatin(source, at - 1) && isLatin(source, end)) {
      reading.invisible += 1
    }
    return
  }
  const composed = character.normalize('NFKC').toLowerCase()
  // A few characters stand for whole phrases; no word is hidden in them.
  if (composed.length > longestExpansion) {
    gap(reading, at, end)
    return
  }
  if (/^[a-z]$/.test(composed)) reading.styled += 1
  for (const piece of composed.normalize('NFKD')) {
    if (/\p{M}/u.test(piece)) continue
    const latin = lookAlikes.get(piece)
    if (latin !== undefined) reading.foreign += 1
    else if (/[a-z]/.test(piece)) reading.latin += 1
    if (latin !== undefined || /[\p{L}\p{N}]/u.test(piece)) push(reading, latin ?? piece, at, end)
    else gap(reading, at, end)
  }
}

const isLatin = (source: string, at: number): boolean => /[A-Za-z]/.test(source.charAt(at))

function push(reading: Reading, character: string, start: number, end: number): void {
  for (const unit of character.split('')) {
    reading.words.push(unit)
    reading.starts.push(start)
    reading.ends.push(end)
  }
}

function gap(reading: Reading, start: number, end: number): void {
  endWord(reading)
  const last = reading.words.length - 1
  if (last < 0) return
  if (reading.words[last] === ' ') reading.ends[last] = end
  else push(reading, ' ', start, end)
}

function endWord(reading: Reading): void {
  const { latin, foreign } = reading
  if (latin > 0 && foreign > 0 && latin + foreign >= mixedWordLength) reading.mixed = true
  reading.latin = 0
  reading.foreign = 0
}

/** `i g n o r e` as `ignore`: six single letters or more, one character apart. A wider gap parts words. */
function joinSpacedLetters(words: string, { starts, ends }: Reading): Pick<Folded, 'words' | 'starts' | 'ends'> | null {
  const dropped = new Set<number>()
  for (const run of words.matchAll(/(?<![a-z0-9])(?:[a-z] ){5,}[a-z](?![a-z0-9])/g)) {
    for (let index = run.index + 1; index < run.index + run[0].length; index += 2) {
      if ((ends[index] ?? 0) - (starts[index] ?? 0) === 1) dropped.add(index)
    }
  }
  if (dropped.size === 0) return null
  const kept = { words: '', starts: [] as number[], ends: [] as number[] }
  for (let index = 0; index < words.length; index += 1) {
    if (dropped.has(index)) continue
    kept.words += words.charAt(index)
    kept.starts.push(starts[index] ?? 0)
    kept.ends.push(ends[index] ?? 0)
  }
  return kept
}
