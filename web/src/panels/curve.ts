// The loss split as training went on: distortion above, rate below, each with a scale of its own, as their sizes differ.

import type { Contents, Curve } from '../contents'

type Part = 'distortion' | 'rate'

/** What is drawn: the curves, and the steps, distortions and rates of frames, of which one is the current one. */
export interface Drawn {
  curves: Contents['curves']
  frames: (number | null)[][]
  frame: number | null
  /** Whether steps are on a logarithmic axis. */
  log: boolean
  width: number
}

const EDGE = { left: 48, right: 10, top: 20, bottom: 30 }
const HEIGHTS: Record<Part, number> = { distortion: 104, rate: 76 }
const NUMBERS: Record<Part, number> = { distortion: 2, rate: 3 }

/** Where a step lies, from 0 to 1. Step 0 has a place on the logarithmic axis too, as one is added. */
const share = (step: number, last: number, log: boolean): number =>
  log ? Math.log1p(step) / Math.log1p(last) : step / (last || 1)

const lastStep = ({ curves, frames }: Drawn): number =>
  Math.max(1, ...(curves?.train.steps ?? []), ...(curves?.validation.steps ?? []), ...frames.map(([step]) => step ?? 0))

/** The frame that is nearest to a place of the drawing, in pixels from its left edge. */
export function frameAt(drawn: Drawn, left: number): number {
  const last = lastStep(drawn)
  const wanted = (left - EDGE.left) / (drawn.width - EDGE.left - EDGE.right)
  const far = drawn.frames.map(([step]) => Math.abs(share(step ?? 0, last, drawn.log) - wanted))
  return far.indexOf(Math.min(...far))
}

const SVG = 'http://www.w3.org/2000/svg'

function s(tag: string, attributes: Record<string, string | number>, ...children: (Node | string)[]): SVGElement {
  const made = document.createElementNS(SVG, tag)
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, String(value))
  made.append(...children)
  return made
}

const partsOf = (drawn: Drawn): Part[] =>
  (['distortion', 'rate'] as const).filter((part) => numbersOf(drawn, part).length)

/** The height of the drawing in pixels; an autoencoder has no rate. */
export const heightOf = (drawn: Drawn): number =>
  partsOf(drawn).reduce((sum, part) => sum + HEIGHTS[part] + EDGE.top, EDGE.bottom)

/** The drawing. */
export function curve(drawn: Drawn): SVGElement {
  const parts = partsOf(drawn)
  const height = heightOf(drawn)
  const last = lastStep(drawn)
  const x = (step: number): number => EDGE.left + share(step, last, drawn.log) * (drawn.width - EDGE.left - EDGE.right)
  const tops = parts.map((_, k) => parts.slice(0, k).reduce((sum, part) => sum + HEIGHTS[part] + EDGE.top, EDGE.top))
  return s(
    'svg',
    {
      class: 'curve',
      width: drawn.width,
      height,
      viewBox: `0 0 ${drawn.width} ${height}`,
      role: 'img',
      'aria-label': 'distortion and rate over the steps of training',
    },
    ...cursor(drawn, x, height - EDGE.bottom),
    ...parts.map((part, k) => plot(drawn, part, tops[k], x)),
    ...stepAxis(last, drawn.log, x, height - EDGE.bottom),
  )
}

/** All numbers that a plot has to hold. */
function numbersOf({ curves, frames }: Drawn, part: Part): number[] {
  const all = [
    ...(curves?.train[part] ?? []),
    ...(curves?.validation[part] ?? []),
    ...frames.map((row) => row[NUMBERS[part]]),
  ]
  return all.filter((value) => value !== null && Number.isFinite(value)) as number[]
}

function plot(drawn: Drawn, part: Part, top: number, x: (step: number) => number): SVGElement {
  const { curves, frames, frame, width } = drawn
  const floor = part === 'distortion' ? (curves?.floor ?? null) : null
  const [low, high] = range([...numbersOf(drawn, part), ...(floor === null ? [] : [floor])])
  const y = (value: number): number => top + HEIGHTS[part] * (1 - (value - low) / (high - low))
  const line = (one: Curve | undefined, kind: string): SVGElement =>
    s('path', { class: kind, d: trace(one, part, x, y) })
  const dots = frames.flatMap((row, k) => {
    const value = row[NUMBERS[part]]
    const now = k === frame
    return value === null
      ? []
      : [s('circle', { class: now ? 'now' : 'frame', cx: x(row[0] ?? 0), cy: y(value), r: now ? 4.5 : 2 })]
  })
  return s(
    'g',
    { class: part },
    s('text', { x: EDGE.left, y: top - 7, class: 'title' }, `${part} (nats per image)`),
    ...ticks(low, high).flatMap((value) => [
      s('line', { class: 'grid', x1: EDGE.left, x2: width - EDGE.right, y1: y(value), y2: y(value) }),
      s('text', { x: EDGE.left - 6, y: y(value) + 4, class: 'end' }, plain(value)),
    ]),
    ...(floor === null
      ? []
      : [s('line', { class: 'floor', x1: EDGE.left, x2: width - EDGE.right, y1: y(floor), y2: y(floor) })]),
    line(curves?.train, 'train'),
    line(curves?.validation, 'validation'),
    ...dots,
  )
}

/** Lines from number to number, with a gap where there is none. */
function trace(one: Curve | undefined, part: Part, x: (step: number) => number, y: (value: number) => number): string {
  let pen = 'M'
  return (one?.steps ?? [])
    .map((step, k) => {
      const value = one?.[part][k]
      if (value === null || value === undefined) {
        pen = 'M'
        return ''
      }
      const piece = `${pen}${x(step).toFixed(1)} ${y(value).toFixed(1)}`
      pen = 'L'
      return piece
    })
    .join('')
}

function range(values: number[]): [number, number] {
  const [low, high] = [Math.min(...values), Math.max(...values)]
  const room = 0.04 * (high - low || Math.abs(high) || 1)
  return [low - room, high + room]
}

/** Round numbers, two to four of them. */
function ticks(low: number, high: number): number[] {
  const rough = (high - low) / 3
  const power = 10 ** Math.floor(Math.log10(rough))
  const step = power * ([1, 2, 5].find((times) => times * power >= rough) ?? 10)
  const first = Math.ceil(low / step)
  return Array.from({ length: Math.floor(high / step) - first + 1 }, (_, k) => (first + k) * step)
}

const plain = (value: number): string => value.toLocaleString('en', { maximumFractionDigits: 3 }).replace('-', '−')

const short = (value: number): string => (value >= 1000 ? `${value / 1000}k` : String(value))

function stepAxis(last: number, log: boolean, x: (step: number) => number, top: number): SVGElement[] {
  const powers = Array.from({ length: 1 + Math.floor(Math.log10(last)) }, (_, k) => 10 ** k)
  const steps = log ? [0, ...powers.slice(powers.length > 2 ? 1 : 0)] : ticks(0, last)
  return [
    ...steps.flatMap((step) => [
      s('line', { class: 'axis', x1: x(step), x2: x(step), y1: top, y2: top + 4 }),
      s('text', { x: x(step), y: top + 15, class: 'middle' }, short(step)),
    ]),
    s('text', { x: x(last), y: top + 28, class: 'end' }, `step${log ? ', logarithmic' : ''}`),
  ]
}

/** The current frame as a line. */
function cursor({ frames, frame }: Drawn, x: (step: number) => number, bottom: number): SVGElement[] {
  if (frame === null) return []
  const left = x(frames[frame][0] ?? 0)
  return [s('line', { class: 'cursor', x1: left, x2: left, y1: EDGE.top - 4, y2: bottom })]
}
