/** What a message may try to do to an agent. */
export type ThreatKind = 'instruction-override' | 'encoding-trick' | 'authority-claim' | 'financial-manipulation'

export interface ThreatPatterns {
  readonly kind: ThreatKind
  /** In hundredths. */
  readonly weight: number
  /** Matched against folded words. */
  readonly phrases: readonly RegExp[]
  /** Matched against the text as it came. */
  readonly marks: readonly RegExp[]
}

// Every repetition is bounded, so that no text makes matching more than linear.
const few = '(?:[a-z0-9]{1,20} ){0,4}'
const phrase = (source: string): RegExp => new RegExp(`\\b(?:${source})\\b`, 'g')

const dismiss = '(?:ignore|disregard|forget|override|bypass|neglect|discard)'
const earlier =
  '(?:previous|prior|above|earlier|preceding|former|foregoing|original|initial|existing|system|all|any|your)'
const filler = '(?:of|the|these|those|my|safety|other|every|single)'
const orders =
  '(?:instructions?|prompts?|rules?|guidelines?|directives?|programming|constraints?|polic(?:y|ies)|restrictions?)'
const unbound = '(?:rules|restrictions|limits|limitations|guidelines|filters)'

const money = '(?:usdc?|eth|btc|bitcoin|ether|dollars?|euros?|funds?|money|tokens?|coins?|crypto|balance|savings)'
const account = '(?:wallet|address|account|0x[0-9a-f]{6,64})'

export const threatPatterns: readonly ThreatPatterns[] = [
  {
    kind: 'instruction-override',
    weight: 35,
    phrases: [
      phrase(`${dismiss} (?:${filler} ){0,3}${earlier} (?:(?:${filler}|${earlier}) ){0,4}${orders}`),
      phrase(`${dismiss}(?:all|any|the|your|my|of|previous|prior|above|earlier){1,5}${orders}`),
      phrase(
        `(?:ignore|disregard|forget) (?:everything|anything|all) (?:above|before|prior|you (?:were|have been) told)`,
      ),
      phrase(
        `(?:do not|don t|never|stop) follow(?:ing)? (?:(?:the|any|all) )?(?:your|previous|prior|system) ${orders}`,
      ),
      phrase('new (?:system )?(?:instructions?|prompt|directives?) (?:are|is|follows?|below|override|replace)'),
      phrase('your new (?:instructions?|directives?|rules|system prompt)'),
      phrase(
        `(?:reveal|show|print|repeat|output|display|leak|dump|recite|tell) ${few}(?:system (?:prompt|message|instructions)|(?:hidden|secret|initial) instructions)`,
      ),
      phrase('(?:reveal|print|repeat|output|leak|dump|recite) your (?:(?:full|entire|exact|own) ){0,2}instructions'),
      phrase(
        'you are now (?:in )?(?:an? )?(?:dan|jailbroken|unrestricted|unfiltered|uncensored|free from|no longer bound|(?:developer|god|root|admin) mode)',
      ),
      phrase('(?:enter|enable|activate|switch to) (?:dan|jailbreak|god|unrestricted|unfiltered|uncensored) mode'),
      phrase(
        `(?:act|behave|respond|answer|pretend) (?:as if|like|that) (?:you|there) (?:have|had|are|were) no ${unbound}`,
      ),
    ],
    marks: [
      /<\|(?:im_start|im_end|system|user|assistant|endoftext|eot_id|start_header_id|end_header_id)\|>/gi,
      /\[\/?INST\]|<<\/?SYS>>|<\/?system>/gi,
      /\[(?:system|admin)(?: (?:message|override|prompt))?\]:?/gi,
      /^#{1,4} {0,2}system(?: prompt| message)?:/gim,
    ],
  },
  {
    kind: 'encoding-trick',
    weight: 20,
    phrases: [
      phrase(
        `(?:decode|decrypt|deobfuscate|unscramble|decipher) ${few}(?:base ?64|rot ?13|hex|hexadecimal|binary|morse|cipher|ciphertext)`,
      ),
      phrase('(?:base ?64|rot ?13|hex) (?:encoded|decoded?) (?:instructions?|command|message|prompt)'),
    ],
    marks: [
      /(?:\\x[0-9a-f]{2}){4,}/gi,
      /(?:\\u[0-9a-f]{4}){4,}/gi,
      /(?:&#x?[0-9a-f]{2,6};){4,}/gi,
      /(?:%[0-7][0-9a-f]){8,}/gi,
      /(?<![A-Za-z0-9+/])[A-Za-z0-9+/]{60,}={0,2}/g,
    ],
  },
  {
    kind: 'authority-claim',
    weight: 30,
    phrases: [
      phrase(
        'i (?:am|m) (?:really |actually )?your (?:creator|developer|owner|admin|administrator|maker|programmer|operator|master)',
      ),
      phrase(
        'i (?:am|m) (?:really |actually )?the (?:system administrator|administrator|admin|root user|super ?user|creator)',
      ),
      phrase(
        '(?:as|speaking as) (?:your (?:creator|developer|owner|admin|administrator|operator)|the (?:system )?admin(?:istrator)?)',
      ),
      phrase(
        '(?:admin|administrator|root|sudo|developer|creator|system) (?:override|access granted|privileges granted|authorization code)',
      ),
      phrase(
        'i (?:have|hold|got) (?:been granted )?(?:full )?(?:admin|administrator|root|creator|super ?user) (?:access|rights|privileges|authority|permissions?|clearance)',
      ),
      phrase(
        '(?:this|this message) (?:is|comes) from (?:openai|anthropic|your (?:creators?|developers?|owner)|the (?:system )?administrators?)',
      ),
      phrase(
        'i (?:am|m) (?:fully )?authorized (?:by (?:your|the) (?:creator|developer|owner|admin)|to (?:override|bypass|disable))',
      ),
      phrase(
        'grant me (?:full )?(?:admin|administrator|root|creator|elevated|super ?user) (?:access|rights|privileges|authority|permissions?)',
      ),
    ],
    marks: [],
  },
  {
    kind: 'financial-manipulation',
    weight: 40,
    phrases: [
      phrase(
        `(?:transfer|send|move|withdraw|wire) (?:me )?(?:all|everything|every|the entire|the whole|your entire|your whole) ${few}${money}`,
      ),
      phrase(`(?:transfer|send|wire|pay|withdraw) ${few}${money} ${few}to ${few}${account}`),
      phrase(`(?:drain|empty|sweep) ${few}(?:wallet|treasury|balance|funds|bank account)`),
      phrase(
        `(?:change|replace|update|set|redirect) ${few}(?:wallet|payment|payout|deposit|recipient|withdrawal) address`,
      ),
      phrase(
        `(?:disable|raise|remove|bypass|ignore|lift) ${few}(?:spending|payment|transfer|withdrawal|treasury) (?:limits?|caps?|checks?)`,
      ),
      phrase(`(?:reveal|send|give|show|tell|export|print) ${few}(?:private key|seed phrase|mnemonic|recovery phrase)`),
    ],
    marks: [],
  },
]
