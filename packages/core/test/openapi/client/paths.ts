/** Stands in for the types that the test generates from the document and puts beside a copy of the client. */
// biome-ignore lint/suspicious/noExplicitAny: what the paths are is known to the generated types alone
export type paths = any
