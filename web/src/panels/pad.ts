// A small pad to draw on, with a pointer or with keys: arrows move the brush by a pixel of the model's, the space bar
// sets it down and lifts it.

import type { Contents } from '../contents'
import { calmly, h } from '../dom'
import { choice, slider } from './controls'

type Pen = 'brush' | 'eraser'

/**
 * @param dark whether the pad is black at the beginning, and the brush white
 * @param drawn is told, at most once a picture of the screen, what is on the pad
 */
export function pad(
  [channels, height, width]: Contents['shape'],
  dark: boolean,
  drawn: (image: ImageData) => void,
): HTMLElement {
  const factor = Math.max(1, Math.round(224 / Math.max(height, width)))
  const [wide, tall] = [factor * width, factor * height]
  const help =
    'drawing pad: draw with the pointer; or move the brush with the arrow keys and set it down or lift it with the space bar'
  const canvas = h('canvas', {
    class: 'pad',
    width: wide,
    height: tall,
    tabindex: 0,
    role: 'application',
    'aria-label': help,
  })
  const context = canvas.getContext('2d', { willReadFrequently: true }) as CanvasRenderingContext2D
  const paper = dark ? '#000000' : '#ffffff'
  let pen: Pen = 'brush'
  let size = 0.08
  let at: [number, number] = [wide / 2, tall / 2]
  let down = false
  const colour = h('input', { type: 'color', value: dark ? '#ffffff' : '#000000', 'aria-label': 'colour of the brush' })
  const tell = calmly(() => drawn(context.getImageData(0, 0, wide, tall)))

  function clear(): void {
    context.fillStyle = paper
    context.fillRect(0, 0, wide, tall)
  }
  function move(to: [number, number]): void {
    if (down) {
      context.strokeStyle = pen === 'brush' ? colour.value : paper
      Object.assign(context, { lineWidth: size * Math.min(wide, tall), lineCap: 'round', lineJoin: 'round' })
      context.beginPath()
      context.moveTo(...at)
      context.lineTo(...to)
      context.stroke()
      tell()
    }
    at = to
  }
  const place = ({ offsetX, offsetY }: PointerEvent): [number, number] => [
    (offsetX * wide) / canvas.clientWidth,
    (offsetY * tall) / canvas.clientHeight,
  ]
  canvas.addEventListener('pointerdown', (event) => {
    if (event.button) return
    canvas.setPointerCapture(event.pointerId)
    at = place(event)
    down = true
    move(at)
  })
  canvas.addEventListener('pointermove', (event) => {
    if (event.pointerType !== 'mouse' || event.buttons || !down)
      event.getCoalescedEvents?.().forEach((one) => down && move(place(one)))
    if (down) move(place(event))
  })
  for (const end of ['pointerup', 'pointercancel'] as const) canvas.addEventListener(end, () => (down = false))
  canvas.addEventListener('keydown', (event) => {
    const step = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1], ' ': [0, 0] }[event.key]
    if (!step) return
    event.preventDefault()
    if (event.key === ' ') down = !down
    move([clamp(at[0] + factor * step[0], wide), clamp(at[1] + factor * step[1], tall)])
  })
  canvas.addEventListener('blur', () => (down = false))
  clear()
  const pens = choice<Pen>('pen', { brush: 'brush', eraser: 'eraser' }, (value) => (pen = value))
  pens.show(pen)
  const sizes = slider(
    'width',
    [0.02, 0.25, 0.01],
    (value) => `${Math.round(100 * value)} %`,
    (value) => (size = value),
  )
  sizes.show(size)
  const wipe = (): void => {
    clear()
    tell()
  }
  const tools = h(
    'div',
    { class: 'row' },
    pens.element,
    channels > 2 ? colour : null,
    h('button', { onclick: wipe }, 'clear'),
  )
  return h('div', { class: 'drawing' }, canvas, tools, sizes.element)
}

const clamp = (value: number, most: number): number => Math.min(most, Math.max(0, value))
