// Controls that several panels have: a slider that tells its value, a choice of a few, and a clock for what moves.

import { h } from '../dom'

/** A control and how to show another value on it. */
export interface Control<T> {
  element: HTMLElement
  show(value: T): void
}

/** A slider with its name before it and its value, in words, after it. */
export function slider(
  name: string,
  [min, max, step]: [number, number, number],
  words: (value: number) => string,
  chosen: (value: number) => void,
): Control<number> {
  const input = h('input', { type: 'range', min, max, step, 'aria-label': name, oninput: () => act() })
  const output = h('output')
  const tell = (): void => {
    output.value = words(Number(input.value))
    input.setAttribute('aria-valuetext', output.value)
  }
  const act = (): void => {
    tell()
    chosen(Number(input.value))
  }
  const show = (value: number): void => {
    input.value = String(value)
    tell()
  }
  return { element: h('label', { class: 'slider' }, h('span', {}, name), input, output), show }
}

/** One of a few, as radio buttons. */
export function choice<T extends string>(
  name: string,
  options: Record<T, string>,
  chosen: (value: T) => void,
): Control<T> {
  const inputs = (Object.keys(options) as T[]).map((value) =>
    h('input', { type: 'radio', name, value, onchange: () => chosen(value) }),
  )
  const labels = inputs.map((input) => h('label', {}, input, options[input.value as T]))
  const show = (value: T): void => inputs.forEach((input) => (input.checked = input.value === value))
  return {
    element: h('div', { class: 'choice', role: 'radiogroup', 'aria-label': name }, h('span', {}, name), ...labels),
    show,
  }
}

/** Yes or no. */
export function tick(name: string, on: boolean, chosen: (on: boolean) => void): HTMLElement {
  const input: HTMLInputElement = h('input', { type: 'checkbox', checked: on, onchange: () => chosen(input.checked) })
  return h('label', { class: 'tick' }, input, name)
}

/** Whether the system asks for little motion. */
export const calm = (): boolean => matchMedia('(prefers-reduced-motion: reduce)').matches

/** Calls a function at every picture of the screen while it runs, with the seconds since the last one. */
export class Clock {
  private handle = 0
  private last = 0

  constructor(private readonly passed: (seconds: number) => void) {}

  run(on: boolean): void {
    cancelAnimationFrame(this.handle)
    this.last = performance.now()
    if (on) this.handle = requestAnimationFrame((now) => this.frame(now))
  }

  private frame(now: number): void {
    const seconds = Math.max(0, now - this.last) / 1000
    this.last = now
    this.handle = requestAnimationFrame((next) => this.frame(next))
    this.passed(Math.min(seconds, 0.25))
  }
}
