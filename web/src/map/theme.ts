// The colours of the page for what is drawn on a canvas, and when they change.

export interface Theme {
  ink: string
  soft: string
  line: string
  paper: string
  accent: string
}

export function theme(element: Element): Theme {
  const style = getComputedStyle(element)
  const of = (name: string): string => style.getPropertyValue(`--${name}`).trim() || '#888888'
  return { ink: of('ink'), soft: of('soft'), line: of('line'), paper: of('paper'), accent: of('accent') }
}

/** Tells when light becomes dark, be it by the system or by a switch of the page. */
export function onTheme(run: () => void): void {
  matchMedia('(prefers-color-scheme: dark)').addEventListener('change', run)
  new MutationObserver(run).observe(document.documentElement, { attributes: true })
  new MutationObserver(run).observe(document.body, { attributes: true })
}

export const calm = (): boolean => matchMedia('(prefers-reduced-motion: reduce)').matches
