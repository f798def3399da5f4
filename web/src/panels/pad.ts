// A small pad to draw on, with a pointer or with keys: arrows move the brush by a pixel of the model's, the space bar
// sets it down and lifts it.

import type { Contents } from '../contents'
import { calmly, h } from '../dom'
import { choice, slider } from './controls'

type Pen = 'brush' | 'eraser'
type Place = [number, number]

/** The longer side of the pad in its own pixels, about. */
const SIDE = 224

const HELP =
  'drawing pad: draw with the pointer; or move the brush with the arrow keys and set it down or lift it with the space bar'

const STEPS: Record<string, Place> = {
  ArrowLeft: [-1, 0],
  ArrowRight: [1, 0],
  ArrowUp: [0, -1],
  ArrowDown: [0, 1],
  ' ': [0, 0],
}

export class Pad {
  readonly element: HTMLElement
  private readonly canvas: HTMLCanvasElement
  private readonly context: CanvasRenderingContext2D
  private readonly colour: HTMLInputElement
  private readonly factor: number
  private readonly paper: string
  private readonly tell: () => void
  private pen: Pen = 'brush'
  private thickness = 0.08
  private at: Place = [0, 0]
  private down = false

  /**
   * @param dark whether the pad is black at the beginning, and the brush white
   * @param drawn is told, at most once a picture of the screen, what is on the pad
   */
  constructor([channels, height, width]: Contents['shape'], dark: boolean, drawn: (image: ImageData) => void) {
    this.factor = Math.max(1, Math.round(SIDE / Math.max(height, width)))
    const [wide, tall] = [this.factor * width, this.factor * height]
    const named = { tabindex: 0, role: 'application', 'aria-label': HELP }
    this.canvas = h('canvas', { class: 'pad', width: wide, height: tall, ...named })
    this.context = this.canvas.getContext('2d', { willReadFrequently: true }) as CanvasRenderingContext2D
    this.paper = dark ? '#000000' : '#ffffff'
    this.at = [wide / 2, tall / 2]
    this.colour = h('input', {
      type: 'color',
      value: dark ? '#ffffff' : '#000000',
      'aria-label': 'colour of the brush',
    })
    this.tell = calmly(() => drawn(this.context.getImageData(0, 0, wide, tall)))
    this.clear()
    this.listen()
    this.element = h('div', { class: 'drawing' }, this.canvas, ...this.tools(channels > 2))
  }

  private tools(coloured: boolean): HTMLElement[] {
    const pens = choice<Pen>('pen', { brush: 'brush', eraser: 'eraser' }, (pen) => (this.pen = pen))
    const words = (value: number): string => `${Math.round(100 * value)} %`
    const width = slider('width', [0.02, 0.25, 0.01], words, (value) => (this.thickness = value))
    pens.show(this.pen)
    width.show(this.thickness)
    const wipe = (): void => {
      this.clear()
      this.tell()
    }
    const clear = h('button', { onclick: wipe }, 'clear')
    return [h('div', { class: 'row' }, pens.element, coloured ? this.colour : null, clear), width.element]
  }

  private clear(): void {
    this.context.fillStyle = this.paper
    this.context.fillRect(0, 0, this.canvas.width, this.canvas.height)
  }

  /** Brings the brush somewhere; what it passes is drawn if it is down. */
  private move(to: Place): void {
    const { context, canvas } = this
    if (this.down) {
      context.strokeStyle = this.pen === 'brush' ? this.colour.value : this.paper
      Object.assign(context, { lineCap: 'round', lineWidth: this.thickness * Math.min(canvas.width, canvas.height) })
      context.beginPath()
      context.moveTo(...this.at)
      context.lineTo(...to)
      context.stroke()
      this.tell()
    }
    this.at = to
  }

  private listen(): void {
    const { canvas } = this
    const lift = (): boolean => (this.down = false)
    canvas.addEventListener('pointerdown', (event) => this.begin(event))
    canvas.addEventListener('pointermove', (event) => {
      for (const one of [...(event.getCoalescedEvents?.() ?? []), event]) if (this.down) this.move(this.place(one))
    })
    for (const end of ['pointerup', 'pointercancel', 'blur']) canvas.addEventListener(end, lift)
    canvas.addEventListener('keydown', (event) => this.key(event))
  }

  private begin(event: PointerEvent): void {
    if (event.button) return
    this.canvas.setPointerCapture(event.pointerId)
    this.at = this.place(event)
    this.down = true
    this.move(this.at)
  }

  private place({ offsetX, offsetY }: PointerEvent): Place {
    const { width, height, clientWidth, clientHeight } = this.canvas
    return [(offsetX * width) / clientWidth, (offsetY * height) / clientHeight]
  }

  private key(event: KeyboardEvent): void {
    const step = STEPS[event.key]
    if (!step) return
    event.preventDefault()
    if (event.key === ' ') this.down = !this.down
    const { width, height } = this.canvas
    const [x, y] = this.at
    this.move([clamp(x + this.factor * step[0], width), clamp(y + this.factor * step[1], height)])
  }
}

const clamp = (value: number, most: number): number => Math.min(most, Math.max(0, value))
