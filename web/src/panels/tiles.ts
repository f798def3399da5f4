// Small pictures in rows, each a button: pixels are enlarged by whole factors, and arrow keys go from one to the next.

import type { App } from '../app'
import type { Contents } from '../contents'
import { h, picture } from '../dom'
import { LATER } from '../engine'
import { imageData, show } from '../pictures'
import { factor } from '../save'

type Shape = Contents['shape']

/** Gives a canvas the size at which a picture of the model is about so wide, its pixels all alike. */
export function sized(canvas: HTMLCanvasElement, shape: Shape, about: number): HTMLCanvasElement {
  const times = factor(shape, about)
  Object.assign(canvas.style, { width: `${shape[2] * times}px`, height: `${shape[1] * times}px` })
  return canvas
}

interface Acts {
  /** A tile was clicked. */
  pick(k: number): void
  /** The pointer or the focus is on a tile, or has left. */
  over?(k: number | null): void
}

export class Tiles {
  readonly element: HTMLElement
  private buttons: HTMLButtonElement[] = []

  constructor(
    name: string,
    private readonly shape: Shape,
    private readonly acts: Acts,
  ) {
    this.element = h('div', { class: 'tiles', role: 'group', 'aria-label': name })
    this.element.addEventListener('keydown', (event) => this.key(event))
    this.element.addEventListener('pointerleave', () => acts.over?.(null))
  }

  /** Shows so many, about so wide, with these names. Pictures stay until others come. */
  resize(count: number, about: number, name: (k: number) => string): void {
    this.buttons.splice(count).forEach((button) => button.remove())
    while (this.buttons.length < count) this.add(this.buttons.length)
    this.buttons.forEach((button, k) => {
      button.setAttribute('aria-label', name(k))
      button.title = name(k)
      button.tabIndex = k ? -1 : 0
      sized(this.canvas(k), this.shape, about)
    })
  }

  show(k: number, image: ArrayLike<number>, from = 0): void {
    if (k < this.buttons.length) show(this.canvas(k), imageData(image, this.shape, from))
  }

  /** Says of each whether it is switched on. */
  press(on: (k: number) => boolean): void {
    this.buttons.forEach((button, k) => button.setAttribute('aria-pressed', String(on(k))))
  }

  /** Gives some of them a class, and takes it from the others. */
  mark(kind: string, on: (k: number) => boolean): void {
    this.buttons.forEach((button, k) => button.classList.toggle(kind, on(k)))
  }

  private add(k: number): void {
    const { acts } = this
    const over = (): void => acts.over?.(k)
    const button = h(
      'button',
      { class: 'tile', type: 'button', onclick: () => acts.pick(k), onpointerenter: over, onfocus: over },
      picture(''),
    )
    button.firstElementChild?.setAttribute('aria-hidden', 'true')
    this.buttons.push(button)
    this.element.append(button)
  }

  private canvas(k: number): HTMLCanvasElement {
    return this.buttons[k].firstElementChild as HTMLCanvasElement
  }

  private key(event: KeyboardEvent): void {
    const now = this.buttons.indexOf(document.activeElement as HTMLButtonElement)
    const last = this.buttons.length - 1
    const next = { ArrowRight: now + 1, ArrowLeft: now - 1, Home: 0, End: last }[event.key]
    if (now < 0 || next === undefined || next < 0 || next > last) return
    event.preventDefault()
    this.buttons.forEach((button, k) => (button.tabIndex = k === next ? 0 : -1))
    this.buttons[next].focus()
  }
}

/** What asked last, by slot: an answer that comes later is not wanted. */
const asked = new Map<string, number>()

/** So many pictures at a time, as what follows the pointer must not wait long. */
const PART = 8

/**
 * Decodes latents part by part.
 *
 * @param rows latents, (D,) each
 * @param label the class of all or each, for a model that knows labels
 * @param got is called with each picture, (C, H, W), as it comes
 * @returns whether all came; not so where the same slot was asked something newer
 */
export async function decodeAll(
  app: App,
  rows: Float32Array[],
  slot: string,
  label: number | number[],
  got: (k: number, image: Float32Array) => void,
): Promise<boolean> {
  const turn = (asked.get(slot) ?? 0) + 1
  asked.set(slot, turn)
  for (let start = 0; start < rows.length; start += PART) {
    const part = rows.slice(start, start + PART)
    const images = await app.engine?.decode(
      Float32Array.from(part.flatMap((row) => [...row])),
      slot,
      typeof label === 'number' ? label : label.slice(start, start + PART),
      LATER,
    )
    if (!images || asked.get(slot) !== turn) return false
    const size = images.length / part.length
    part.forEach((_, k) => got(start + k, images.slice(k * size, (k + 1) * size)))
  }
  return asked.get(slot) === turn
}
