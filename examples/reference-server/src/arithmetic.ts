const longest = 1_000
const deepest = 100

/**
 * The value of an arithmetic expression: + - * / ^ with the usual precedence, parentheses, decimals. Throws an `Error`
 * that says what is wrong, also for a division by zero and a result that no number can hold.
 */
export function evaluate(expression: string): number {
  if (expression.length > longest) throw new Error(`the expression is longer than ${longest} characters`)
  const tokens = tokenize(expression)
  let position = 0
  let depth = 0

  const take = (...wanted: readonly string[]): string | undefined => {
    const token = tokens[position]
    if (typeof token !== 'string' || !wanted.includes(token)) return undefined
    position += 1
    return token
  }

  const nested = (parse: () => number): number => {
    depth += 1
    if (depth > deepest) throw new Error('the expression is nested too deeply')
    const value = parse()
    depth -= 1
    return value
  }

  function sum(): number {
    let value = product()
    for (let sign = take('+', '-'); sign; sign = take('+', '-')) value += sign === '+' ? product() : -product()
    return value
  }

  function product(): number {
    let value = signed()
    for (let sign = take('*', '/'); sign; sign = take('*', '/')) {
      const right = signed()
      if (sign === '/' && right === 0) throw new Error('division by zero')
      value = sign === '*' ? value * right : value / right
    }
    return value
  }

  // -2 ^ 2 is -4, and 2 ^ -2 is 0.25.
  function signed(): number {
    const sign = take('+', '-')
    if (!sign) return power()
    const value = nested(signed)
    return sign === '-' ? -value : value
  }

  function power(): number {
    const base = atom()
    if (!take('^')) return base
    const exponent = nested(signed)
    if (base === 0 && exponent < 0) throw new Error('division by zero')
    return base ** exponent
  }

  function atom(): number {
    const token = tokens[position]
    if (typeof token === 'number') {
      position += 1
      return token
    }
    if (!take('(')) throw new Error(token === undefined ? 'the expression ends too early' : `unexpected ${token}`)
    const value = nested(sum)
    if (!take(')')) throw new Error('a parenthesis is not closed')
    return value
  }

  const value = sum()
  if (position < tokens.length) throw new Error(`unexpected ${tokens[position]}`)
  if (!Number.isFinite(value)) throw new Error('the result is not a number that can be written down')
  // What binary fractions add in the sixteenth digit is nothing anybody asked for.
  return Number(value.toPrecision(15)) + 0
}

function tokenize(expression: string): readonly (number | string)[] {
  const tokens: (number | string)[] = []
  const token = /\s*(?:(\d+(?:\.\d*)?|\.\d+)|([-+*/^()]))/y
  const end = expression.trimEnd().length
  while (token.lastIndex < end) {
    const from = token.lastIndex
    const match = token.exec(expression)
    if (!match) throw new Error(`unexpected ${JSON.stringify(expression.slice(from).trimStart().charAt(0))}`)
    tokens.push(match[1] === undefined ? (match[2] ?? '') : Number(match[1]))
  }
  return tokens
}
