/** A search looks at no more words of a document: what an index of any engine can hold. */
const mostWords = 60_000
const mostCharacters = 200_000
/** Longer words are cut, in documents and queries alike. */
const longestWord = 64

/** Marks above and below letters, and the points of Hebrew and Arabic. Those that make another letter in their script stay. */
const marks = /(?=\p{Mn})(?!\u3099|\u309a)[\p{sc=Zinh}\p{sc=Hebr}\p{sc=Cyrl}]/gu

/** Letters that no decomposition makes plain. */
const plainLetters: Readonly<Record<string, string>> = {
  ß: 'ss',
  æ: 'ae',
  œ: 'oe',
  ø: 'o',
  ł: 'l',
  đ: 'd',
  ð: 'd',
  þ: 'th',
  ħ: 'h',
  ŋ: 'ng',
  ı: 'i',
  ĸ: 'k',
  ŧ: 't',
  ς: 'σ',
}
const unplain = new RegExp(`[${Object.keys(plainLetters).join('')}]`, 'g')

/** What is read as one word: scripts without spaces character by character, so that a word inside is found too. */
const word =
  /[\p{sc=Han}\p{sc=Hiragana}\p{sc=Katakana}\p{sc=Thai}\p{sc=Lao}\p{sc=Khmer}\p{sc=Myanmar}]|\p{Extended_Pictographic}|(?:(?![\p{sc=Han}\p{sc=Hiragana}\p{sc=Katakana}\p{sc=Thai}\p{sc=Lao}\p{sc=Khmer}\p{sc=Myanmar}])[\p{L}\p{N}\p{M}])+/gu

const plain = /^[\x20-\x7e\n\t\r]*$/

/** Case and diacritics taken away: texts that are the same but for these become equal. Other signs stay. */
export function foldText(text: string): string {
  // Most texts are plain ASCII, where this is all there is to do.
  if (plain.test(text)) return text.toLowerCase()
  return text
    .normalize('NFKD')
    .replace(marks, '')
    .toLowerCase()
    .replace(marks, '')
    .replace(unplain, (letter) => plainLetters[letter] ?? letter)
    .normalize('NFC')
}

/**
 * The folded words of a text, in order, as full-text search knows them: ASCII letters and digits, and whatever is no ASCII.
 * The same for documents and queries, so that every engine finds the same; nothing in it can be read as an operator.
 */
export function searchWords(text: string): string[] {
  const words: string[] = []
  let characters = 0
  for (const [found] of foldText(text.toWellFormed()).matchAll(word)) {
    if (words.length >= mostWords || characters >= mostCharacters) break
    const kept = found.length <= longestWord ? found : found.slice(0, longestWord).toWellFormed().replace('\ufffd', '')
    words.push(kept)
    characters += kept.length
  }
  return words
}
