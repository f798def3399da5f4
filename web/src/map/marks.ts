// What is drawn below the points and over them: circles of the prior, the crosshair, rings, and the lasso.

import type { View } from '../app'
import type { Theme } from './theme'

type Place = [number, number]

/** Thin lines at zero, and circles that hold one and two deviations of a standard normal prior around its centre. */
export function drawPrior(
  context: CanvasRenderingContext2D,
  view: View,
  centre: Place,
  flatPlane: boolean,
  theme: Theme,
  bright: boolean,
): void {
  const [x, y] = view.toScreen(...centre)
  for (const radius of [1, 2]) {
    const path = new Path2D()
    if (flatPlane) for (const side of [-1, 1]) line(path, x + side * radius * view.scale, 0, 0, view.height)
    else path.arc(x, y, radius * view.scale, 0, 2 * Math.PI)
    outlined(context, path, bright ? '#ffffff' : theme.soft, bright ? '#000000' : null, 1)
  }
}

export function drawZero(context: CanvasRenderingContext2D, view: View, theme: Theme): void {
  const [x, y] = view.toScreen(0, 0).map((value) => Math.round(value) + 0.5)
  const path = new Path2D()
  line(path, x, 0, 0, view.height)
  line(path, 0, y, view.width, 0)
  outlined(context, path, theme.line, null, 1)
}

/** Where the latents are that are decoded. */
export function drawCrosshair(context: CanvasRenderingContext2D, view: View, place: Place, theme: Theme): void {
  const [x, y] = view.toScreen(...place)
  const path = new Path2D()
  path.arc(x, y, 6, 0, 2 * Math.PI)
  for (const [dx, dy] of [
    [1, 0],
    [-1, 0],
    [0, 1],
    [0, -1],
  ])
    line(path, x + 6 * dx, y + 6 * dy, 9 * dx, 9 * dy)
  outlined(context, path, theme.accent, theme.paper, 2)
}

export function drawRing(context: CanvasRenderingContext2D, view: View, place: Place, theme: Theme): void {
  const path = new Path2D()
  path.arc(...view.toScreen(...place), 5, 0, 2 * Math.PI)
  outlined(context, path, theme.ink, theme.paper, 2)
}

export function drawLasso(context: CanvasRenderingContext2D, view: View, polygon: Place[], theme: Theme): void {
  if (polygon.length < 2) return
  const path = new Path2D()
  polygon.forEach((place, k) => (k ? path.lineTo(...view.toScreen(...place)) : path.moveTo(...view.toScreen(...place))))
  path.closePath()
  context.save()
  context.globalAlpha = 0.1
  context.fillStyle = theme.accent
  context.fill(path)
  context.restore()
  context.setLineDash([5, 4])
  outlined(context, path, theme.accent, null, 1.5)
  context.setLineDash([])
}

function line(path: Path2D, x: number, y: number, dx: number, dy: number): void {
  path.moveTo(x, y)
  path.lineTo(x + dx, y + dy)
}

/** A line, over a wider one that sets it off from what is below. */
function outlined(
  context: CanvasRenderingContext2D,
  path: Path2D,
  colour: string,
  halo: string | null,
  width: number,
): void {
  if (halo) {
    Object.assign(context, { strokeStyle: halo, lineWidth: width + 2 })
    context.stroke(path)
  }
  Object.assign(context, { strokeStyle: colour, lineWidth: width })
  context.stroke(path)
}
