import { defineErrors } from '../../kernel/errors.ts'

export const costErrors = defineErrors({
  BUDGET_EXHAUSTED: { kind: 'rate_limited', message: 'a budget has no room for this call' },
  BUDGET_PRICE_UNKNOWN: {
    kind: 'unprocessable',
    message: 'a budget applies and the price of the model is unknown; give its registration a price',
  },
  BUDGET_INVALID: { kind: 'bad_request', message: 'a budget is not valid' },
  PRICE_INVALID: { kind: 'bad_request', message: 'a price must be a number of pico-dollars per token, 0 or more' },
  PRICES_MISSING: {
    kind: 'unavailable',
    message: 'the price data are not installed: npm install @pydantic/genai-prices',
  },
  REPORT_INVALID: { kind: 'bad_request', message: 'a cost report cannot be made like this' },
})
