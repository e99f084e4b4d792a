/** Deeper than any sum a person writes; keeps the recursion small. */
const deepest = 100

/**
 * The value of an arithmetic expression: numbers, `+ - * / ^`, parentheses, signs. `^` binds tightest and to the right.
 * Throws with what is wrong and where.
 */
export function calculate(expression: string): number {
  let position = 0

  const peek = (): string => {
    while (expression[position] === ' ') position += 1
    return expression[position] ?? ''
  }
  const take = (operators: string): string => {
    const next = peek()
    if (next === '' || !operators.includes(next)) return ''
    position += 1
    return next
  }
  const wrong = (what: string) => new Error(`${what} at position ${position + 1}`)

  function sum(depth: number): number {
    let value = product(depth)
    for (let operator = take('+-'); operator !== ''; operator = take('+-')) {
      value = operator === '+' ? value + product(depth) : value - product(depth)
    }
    return value
  }
  function product(depth: number): number {
    let value = signed(depth)
    for (let operator = take('*/'); operator !== ''; operator = take('*/')) {
      const right = signed(depth)
      if (operator === '/' && right === 0) throw wrong('division by zero')
      value = operator === '*' ? value * right : value / right
    }
    return value
  }
  function signed(depth: number): number {
    if (depth > deepest) throw wrong('too deeply nested')
    const sign = take('+-')
    if (sign !== '') return sign === '-' ? -signed(depth + 1) : signed(depth + 1)
    const base = atom(depth)
    return take('^') === '' ? base : base ** signed(depth + 1)
  }
  function atom(depth: number): number {
    if (take('(') !== '') {
      const value = sum(depth + 1)
      if (take(')') === '') throw wrong('a ")" is missing')
      return value
    }
    peek()
    const [digits] = /^(?:\d+\.?\d*|\.\d+)/.exec(expression.slice(position)) ?? []
    if (digits === undefined) throw wrong(position < expression.length ? 'unexpected character' : 'unexpected end')
    position += digits.length
    return Number(digits)
  }

  const value = sum(0)
  if (peek() !== '') throw wrong('unexpected character')
  if (!Number.isFinite(value)) throw new Error('the result is not a finite number')
  return value
}
