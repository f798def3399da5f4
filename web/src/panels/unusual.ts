// How unusual an error of reconstruction is among those of the test images, in words and as a histogram.

import type { App } from '../app'
import { h, number } from '../dom'

const BARS = 40

/** The share of test images with a larger error from which an image is typical, and from which it is unusual. */
const TYPICAL = 0.1
const UNUSUAL = 0.01

/** What to say of an error: one word, and what stands behind it. */
export function verdict({ data, contents }: App, error: number): [string, string] {
  const errors = data.scores.error
  const larger = errors.reduce((count, one) => count + Number(one > error), 0) / errors.length
  const word = larger >= TYPICAL ? 'Typical' : larger >= UNUSUAL ? 'Unusual' : 'Very unusual'
  const images = `${number(errors.length, 0)} ${contents.points.split} images`
  return [
    word,
    `reconstruction error ${number(error, 3)} (${contents.scores.error.unit}). ${percent(larger)} of the ${images} have a larger one.`,
  ]
}

function percent(share: number): string {
  if (share === 0) return 'None'
  if (share < 0.001) return 'Fewer than 0.1 %'
  return `${number(100 * share, share < 0.1 || share > 0.99 ? 1 : 0)} %`
}

/** How often errors occur, and where one lies among them. */
export function histogram({ data, contents }: App, own: number): HTMLElement {
  const errors = data.scores.error
  const { split } = contents.points
  const top = errors.reduce((a, b) => Math.max(a, b), own) || 1
  const counts = new Array<number>(BARS).fill(0)
  for (const error of errors) counts[Math.min(BARS - 1, Math.floor((BARS * error) / top))]++
  const most = Math.max(...counts)
  const bars = counts.map((count) => h('i', { style: `height: ${(100 * count) / most}%` }))
  const marker = h('b', { style: `left: ${(100 * own) / top}%` })
  const name = `histogram of the errors of the ${split} images from 0 to ${number(top, 2)}; yours is ${number(own, 3)}`
  const ends = ['0', `error of ${split} images; the line is yours`, number(top, 2)].map((text) => h('span', {}, text))
  return h(
    'div',
    {},
    h('div', { class: 'histogram', role: 'img', 'aria-label': name }, ...bars, marker),
    h('div', { class: 'ends small soft' }, ...ends),
  )
}
