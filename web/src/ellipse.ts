// The ellipse of a normal posterior with independent latents, as its shadow on the plane of the map.

import type { View } from './app'
import type { Plane } from './plane'

/** A triangular matrix L of the plane, so that L times the unit circle is one standard deviation. */
export type Shadow = [number, number, number]

/**
 * One deviation of independent latents on a plane: with P the projection, the covariance P diag(s^2) P' is L L'.
 *
 * @param scale the standard deviation of each latent, (D,)
 */
export function shadow(plane: Plane, scale: ArrayLike<number>): Shadow {
  const unit = new Float32Array(scale.length)
  const [x0, y0] = plane.down(unit)
  let [xx, xy, yy] = [0, 0, 0]
  for (let d = 0; d < scale.length; d++) {
    unit[d] = scale[d]
    const [x, y] = plane.down(unit)
    unit[d] = 0
    xx += (x - x0) ** 2
    xy += (x - x0) * (y - y0)
    yy += (y - y0) ** 2
  }
  const a = Math.sqrt(xx)
  const b = a ? xy / a : 0
  return [a, b, Math.sqrt(Math.max(0, yy - b * b))]
}

/** Traces the ellipse of so many deviations around a place of the plane. */
export function trace(
  context: CanvasRenderingContext2D,
  view: View,
  [x, y]: [number, number],
  [a, b, c]: Shadow,
  deviations: number,
): void {
  const steps = 72
  context.beginPath()
  for (let k = 0; k < steps; k++) {
    const [cos, sin] = [Math.cos((2 * Math.PI * k) / steps), Math.sin((2 * Math.PI * k) / steps)]
    context.lineTo(...view.toScreen(x + deviations * a * cos, y + deviations * (b * cos + c * sin)))
  }
  context.closePath()
}
