// The arrays of the page as they are used: codes, scores and labels of the points, and what only some pages have.

import { floats } from './blocks'
import type { Contents } from './contents'
import { activity } from './latents'

export interface Data {
  /** The number of points. */
  count: number
  /** The number of latents. */
  latents: number
  /** The centres of the posteriors, (N, D). */
  codes: Float32Array
  /** Their deviations, (N, D), where there are any. */
  scales: Float32Array | null
  /** The number of the class of each point, or nothing; -1 where it is not known. */
  labels: Int32Array | null
  /** The class that the model itself finds for each point, where it classifies. */
  predicted: Int32Array | null
  /** The place of each point in its split. */
  index: Float32Array
  /** A number for each point by the name of the quantity, as in `contents.scores`. */
  scores: Record<string, Float32Array>
  /** The middle of the codes (D,), and their two principal axes (2, D). */
  middle: Float32Array
  axes: Float32Array
  /** The variance of each latent over the codes, (D,). */
  activity: Float32Array
  /** Draws of the prior, (T, n, D). */
  draws: Float32Array
  /** Latents of validation images as training went on, (T, M, 2), on the plane of the end, and their classes. */
  frames: Float32Array | null
  frameLabels: Int32Array | null
}

export async function load(contents: Contents): Promise<Data> {
  const { arrays } = contents
  const read = async (name: string): Promise<Float32Array> => floats(name, arrays[name])
  const maybe = async (name: string): Promise<Float32Array | null> => (name in arrays ? read(name) : null)
  const classes = (found: Float32Array | null): Int32Array | null =>
    found && Int32Array.from(found, (value) => (value >= contents.classes.length ? -1 : value))
  const names = Object.keys(contents.scores).filter((name) => `score_${name}` in arrays)
  const [codes, scales, labels, predicted, middle, axes, draws, frames, frameLabels, ...scores] = await Promise.all([
    read('codes'),
    maybe('scales'),
    maybe('labels'),
    maybe('predicted'),
    read('middle'),
    read('axes'),
    read('draws'),
    maybe('frames'),
    maybe('frame_labels'),
    ...names.map((name) => read(`score_${name}`)),
  ])
  const data = {
    count: contents.points.count,
    latents: contents.model.latents,
    codes,
    scales,
    labels: classes(labels),
    predicted: classes(predicted),
    index: Float32Array.from({ length: contents.points.count }, (_, i) => i * contents.points.step),
    scores: summed(Object.fromEntries(names.map((name, k) => [name, scores[k]]))),
    middle,
    axes,
    draws,
    frames,
    frameLabels: classes(frameLabels),
  }
  return { ...data, activity: activity(data) }
}

/** The ELBO is not in the page, as it is the sum of its parts. */
function summed({ elbo, ...scores }: Data['scores']): Data['scores'] {
  const { distortion, rate } = scores
  const sum = elbo ?? (distortion && rate && distortion.map((value, i) => -value - rate[i]))
  return sum ? { ...scores, elbo: sum } : scores
}
