// How far along its slider a latent is: the share of the prior that lies below, so that equal steps are equally probable.

import type { App } from './app'
import { level, place } from './latents'

interface Scale {
  /** The least and the largest place of the slider, and the smallest step. */
  range: [number, number, number]
  place(value: number): number
  value(place: number): number
}

const logit = (share: number): number => Math.log(share / (1 - share))

/** The y at an x, by straight lines through points with rising xs. */
function between(xs: number[], ys: number[], x: number): number {
  const k = Math.min(
    xs.length - 2,
    Math.max(
      0,
      xs.findLastIndex((left) => left <= x),
    ),
  )
  const width = xs[k + 1] - xs[k]
  return width ? ys[k] + ((ys[k + 1] - ys[k]) * (x - xs[k])) / width : ys[k]
}

/** A scale by quantiles. Between them logits are straight, which bends as the tails of a normal do. */
function byQuantiles(probabilities: number[], quantiles: number[]): Scale {
  const logits = probabilities.map(logit)
  const [low, high] = [probabilities[0], probabilities[probabilities.length - 1]]
  const inside = (share: number): number => Math.min(high, Math.max(low, share))
  return {
    range: [low, high, 0.005],
    place: (value) => inside(1 / (1 + Math.exp(-between(quantiles, logits, value)))),
    value: (share) => between(logits, quantiles, logit(share)),
  }
}

/** The scale of codes: one step for each level. */
const byLevels = (levels: number): Scale => ({
  range: [0, levels - 1, 1],
  place: (value) => place(value, levels),
  value: (number) => level(number, levels),
})

/** Quantiles of the centres of all points in one latent. */
function seen({ data: { codes, latents, count } }: App, d: number, probabilities: number[]): number[] {
  const sorted = Float32Array.from({ length: count }, (_, i) => codes[i * latents + d]).sort()
  return probabilities.map((share) => sorted[Math.round(share * (count - 1))])
}

/** The scale of a latent. Codes of an autoencoder need not follow a prior: those of the points say how far they go. */
export function scaleOf(app: App, d: number): Scale {
  const { model, prior } = app.contents
  if (typeof model.support === 'number') return byLevels(model.support)
  return byQuantiles(prior.probabilities, model.point ? seen(app, d, prior.probabilities) : prior.quantiles[d])
}
