/** Bytes of a text in UTF-8, without encoding it. */
export const utf8Length = (text: string): number => Buffer.byteLength(text)
