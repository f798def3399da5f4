// The axes beside the map, with round numbers, on strips of their own, so that no text lies over points.

import type { View } from '../app'
import { number } from '../dom'
import type { Theme } from './theme'

/** Pixels that each strip is wide. */
export const STRIP = 38

const APART = 70

/** Round places for marks, at least so many pixels apart. */
export function ticks(low: number, high: number, scale: number): { places: number[]; digits: number } {
  const least = APART / scale
  const power = 10 ** Math.floor(Math.log10(least))
  const step = power * ([1, 2, 5].find((k) => k * power >= least) ?? 10)
  const first = Math.ceil(low / step)
  const count = Math.max(0, Math.floor(high / step) - first + 1)
  const places = Array.from({ length: count }, (_, k) => (first + k) * step)
  return { places, digits: Math.min(8, Math.max(0, -Math.floor(Math.log10(step) + 1e-9))) }
}

export function drawBottom(context: CanvasRenderingContext2D, view: View, name: string, theme: Theme): void {
  prepare(context, theme)
  context.clearRect(0, 0, view.width, STRIP)
  const [low] = view.toPlane(0, 0)
  const [high] = view.toPlane(view.width, 0)
  const { places, digits } = ticks(low, high, view.scale)
  for (const place of places) {
    const [left] = view.toScreen(place, 0)
    context.fillRect(Math.round(left), 0, 1, 4)
    if (left > 14 && left < view.width - 14) context.fillText(number(place, digits), left, 13)
  }
  context.fillStyle = theme.ink
  context.fillText(name, view.width / 2, 29)
}

export function drawLeft(context: CanvasRenderingContext2D, view: View, name: string, theme: Theme): void {
  prepare(context, theme)
  context.clearRect(0, 0, STRIP, view.height)
  if (!name) return
  const [, high] = view.toPlane(0, 0)
  const [, low] = view.toPlane(0, view.height)
  const { places, digits } = ticks(low, high, view.scale)
  for (const place of places) {
    const [, top] = view.toScreen(0, place)
    context.fillRect(STRIP - 4, Math.round(top), 4, 1)
    if (top > 14 && top < view.height - 14) turned(context, STRIP - 13, top, number(place, digits))
  }
  context.fillStyle = theme.ink
  turned(context, 9, view.height / 2, name)
}

function prepare(context: CanvasRenderingContext2D, theme: Theme): void {
  Object.assign(context, {
    font: '12px system-ui, sans-serif',
    fillStyle: theme.soft,
    textAlign: 'center',
    textBaseline: 'middle',
  })
}

function turned(context: CanvasRenderingContext2D, x: number, y: number, text: string): void {
  context.save()
  context.translate(x, y)
  context.rotate(-Math.PI / 2)
  context.fillText(text, 0, 0)
  context.restore()
}
