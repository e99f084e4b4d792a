import { hash } from 'node:crypto'
import type { Answer } from '../../http/surface.ts'
import type { Texts } from './texts.ts'

/** Addresses are relative, so that the page works below any mount point of the host. */
const script = `const form = document.forms[0]
const failure = form.querySelector('output')
form.addEventListener('submit', async (event) => {
  event.preventDefault()
  failure.value = ''
  const body = JSON.stringify({
    password: form.elements.password.value,
    remember: form.elements.remember.checked,
    next: new URLSearchParams(location.search).get('next'),
  })
  try {
    const response = await fetch('api/auth/login', { method: 'POST', headers: { 'content-type': 'application/json' }, body })
    const answer = await response.json()
    if (response.ok) location.assign(answer.next)
    else failure.value = answer.error ?? response.statusText
  } catch (error) {
    failure.value = error.message
  }
})`

const style = `body { font: 1rem system-ui, sans-serif; display: grid; place-items: center; min-height: 90vh; margin: 0 }
form { display: grid; gap: 0.75rem; width: 18rem }
input, button { font: inherit; padding: 0.5rem }
input[type='checkbox'] { margin: 0 0.5rem 0 0 }
output { color: #b00020; min-height: 1.5em }`

const sourceOf = (text: string): string => `'sha256-${hash('sha256', text, 'base64')}'`

const headers = {
  'content-security-policy': `default-src 'none'; script-src ${sourceOf(script)}; style-src ${sourceOf(style)}; connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'`,
  'x-frame-options': 'DENY',
  'referrer-policy': 'no-referrer',
  'cache-control': 'no-store',
}

/** A page to log in with, for a browser that was sent there. */
export const loginPage = (language: string, { login }: Texts): Answer => ({
  headers,
  type: 'text/html; charset=utf-8',
  text: `<!doctype html>
<html lang="${language}">
  <head>
    <meta charset="utf-8">
    <meta name="viewport" content="width=device-width, initial-scale=1">
    <title>${login.title}</title>
    <link rel="icon" href="data:,">
    <style>${style}</style>
  </head>
  <body>
    <form>
      <label for="password">${login.password}</label>
      <input id="password" name="password" type="password" autocomplete="current-password" required autofocus>
      <label><input name="remember" type="checkbox">${login.remember}</label>
      <button>${login.submit}</button>
      <output role="alert"></output>
    </form>
    <script>${script}</script>
  </body>
</html>
`,
})
