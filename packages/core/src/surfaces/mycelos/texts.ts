/** What the server says by itself, in the languages of the system. Placeholders are in braces. */
const texts = {
  en: {
    approval: {
      title: 'Permission required',
      once: 'Allow this once',
      always: 'Always allow it for {agent}',
      everyone: 'Always allow it for every agent',
      deny: 'Deny',
      never: 'Never allow it for {agent}',
      choose: 'Answer with a number, or with yes, always, no or never.',
      notKept: 'This once only; it could not be remembered: {reason}',
    },
    chat: {
      handOver: '{agent} takes over from here.',
      unknownAgent: 'There is no agent "{agent}" that you can talk to.',
      setup:
        'Welcome! Before we can talk, I need a language model: add a key of a provider, or the address of a local one.',
      spent: 'Today’s cost has reached {threshold} USD (so far {cost} USD).',
    },
    commands: {
      unknown: 'Unknown command: /{command}. /help lists what there is.',
      unavailable: '/{command} is not available on this server.',
      failed: 'That did not work: {reason}',
      usage: 'Usage: `{usage}`',
      nothing: 'There is nothing yet.',
    },
    login: { title: 'Log in', password: 'Password', remember: 'Remember me', submit: 'Log in' },
  },
  de: {
    approval: {
      title: 'Erlaubnis nötig',
      once: 'Dieses eine Mal erlauben',
      always: '{agent} immer erlauben',
      everyone: 'Allen Agenten immer erlauben',
      deny: 'Ablehnen',
      never: '{agent} nie erlauben',
      choose: 'Antworte mit einer Zahl, oder mit ja, immer, nein oder nie.',
      notKept: 'Nur dieses eine Mal; es ließ sich nicht merken: {reason}',
    },
    chat: {
      handOver: 'Ab hier übernimmt {agent}.',
      unknownAgent: 'Es gibt keinen Agenten „{agent}“, mit dem du reden kannst.',
      setup:
        'Willkommen! Bevor wir reden können, brauche ich ein Sprachmodell: hinterlege den Schlüssel eines Anbieters oder die Adresse eines lokalen.',
      spent: 'Die Kosten von heute haben {threshold} USD erreicht (bisher {cost} USD).',
    },
    commands: {
      unknown: 'Unbekannter Befehl: /{command}. /help zeigt, was es gibt.',
      unavailable: '/{command} gibt es auf diesem Server nicht.',
      failed: 'Das ging nicht: {reason}',
      usage: 'So geht es: `{usage}`',
      nothing: 'Noch ist nichts da.',
    },
    login: { title: 'Anmelden', password: 'Passwort', remember: 'Angemeldet bleiben', submit: 'Anmelden' },
  },
} as const

export type Language = keyof typeof texts
export type Texts = {
  readonly [Section in keyof typeof texts.en]: { readonly [Key in keyof (typeof texts.en)[Section]]: string }
}

/** The language of a tag such as `de-AT`, English where there is none. */
export const languageOf = (tag: string): Language => (/^de\b/i.test(tag) ? 'de' : 'en')

export const textsIn = (tag: string): Texts => texts[languageOf(tag)]

/** A text with its placeholders filled in; one that is not given stays. */
export const fill = (text: string, values: Readonly<Record<string, string | number>>): string =>
  text.replace(/\{(\w+)\}/g, (placeholder, name: string) => String(values[name] ?? placeholder))
