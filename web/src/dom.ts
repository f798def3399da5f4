// Elements in one line: h('button', {class: 'quiet', onclick: go}, 'Go').

type Value = string | number | boolean | null | undefined | ((event: never) => void)

export function h<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  attributes: Record<string, Value> = {},
  ...children: (Node | string | null | undefined)[]
): HTMLElementTagNameMap[K] {
  const made = document.createElement(tag)
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === 'function') made.addEventListener(name.slice(2), value as EventListener)
    else if (value === true) made.setAttribute(name, '')
    else if (value !== false && value !== null && value !== undefined) made.setAttribute(name, String(value))
  }
  made.append(...children.filter((child) => child !== null && child !== undefined))
  return made
}

/** A canvas for one picture of the model, with a name for those who cannot see it. */
export const picture = (name: string, kind = ''): HTMLCanvasElement =>
  h('canvas', { class: `picture ${kind}`, role: 'img', 'aria-label': name, width: 1, height: 1 })

/** A number as people read it, with a true minus, and none before zero. */
export const number = (value: number, digits = 1): string =>
  value
    .toLocaleString('en', { minimumFractionDigits: digits, maximumFractionDigits: digits, signDisplay: 'negative' })
    .replace('-', '−')

/** A picture with what it is below it. */
export const figure = (shown: HTMLElement, ...caption: (Node | string)[]): HTMLElement =>
  h('figure', {}, shown, h('figcaption', {}, ...caption))

/** A function that is run at the next picture of the screen, once, however often it is asked for until then. */
export function calmly(run: () => void): () => void {
  let asked = false
  return () => {
    if (asked) return
    asked = true
    requestAnimationFrame(() => {
      asked = false
      run()
    })
  }
}

/** Puts text on the clipboard; in frames that may not, by the old way of a selection. */
export async function copy(text: string): Promise<boolean> {
  try {
    await navigator.clipboard.writeText(text)
    return true
  } catch {
    const area = h('textarea', { class: 'unseen' }, text)
    document.body.append(area)
    area.select()
    const done = document.execCommand('copy')
    area.remove()
    return done
  }
}

/** A paragraph that explains, which the user may switch off. */
export const explained = (text: string): HTMLElement => h('p', { class: 'explained' }, text)
