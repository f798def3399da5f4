// Which point is nearest to a place: points are kept in the cells of a grid, so that few have to be looked at.

import { around } from './view'

export class Nearest {
  private readonly columns: number
  private readonly rows: number
  private readonly size: number
  private readonly low: [number, number]
  /** Where the points of a cell begin in `held`, and one more. */
  private readonly starts: Uint32Array
  private readonly held: Uint32Array

  /**
   * @param places the points, (N, 2)
   * @param seen whether a point counts at all
   */
  constructor(
    private readonly places: Float32Array,
    private readonly seen: (point: number) => boolean,
  ) {
    const count = places.length / 2
    const { low, high } = around(places)
    const area = Math.max((high[0] - low[0]) * (high[1] - low[1]), 1e-12)
    const longest = Math.max(high[0] - low[0], high[1] - low[1], 1e-6)
    this.low = low
    this.size = Math.max(Math.sqrt(area / Math.max(count, 1)), longest / 1000)
    this.columns = Math.floor((high[0] - low[0]) / this.size) + 1
    this.rows = Math.floor((high[1] - low[1]) / this.size) + 1
    this.starts = new Uint32Array(this.columns * this.rows + 1)
    this.held = new Uint32Array(count)
    this.sort(count)
  }

  /** The nearest point that is seen within reach of a place, or nothing. */
  at(x: number, y: number, reach: number): number | null {
    let best: number | null = null
    let least = reach * reach
    this.look(x - reach, y - reach, x + reach, y + reach, (i) => {
      const far = (this.places[2 * i] - x) ** 2 + (this.places[2 * i + 1] - y) ** 2
      if (far <= least && this.seen(i)) {
        least = far
        best = i
      }
    })
    return best
  }

  /** The points that are seen within a polygon, in the order of their numbers. */
  within(polygon: [number, number][]): number[] {
    const xs = polygon.map(([x]) => x)
    const ys = polygon.map(([, y]) => y)
    const found: number[] = []
    this.look(Math.min(...xs), Math.min(...ys), Math.max(...xs), Math.max(...ys), (i) => {
      if (this.seen(i) && inside(polygon, this.places[2 * i], this.places[2 * i + 1])) found.push(i)
    })
    return found.sort((a, b) => a - b)
  }

  private look(left: number, bottom: number, right: number, top: number, run: (point: number) => void): void {
    const column = (x: number): number =>
      Math.min(this.columns - 1, Math.max(0, Math.floor((x - this.low[0]) / this.size)))
    const row = (y: number): number => Math.min(this.rows - 1, Math.max(0, Math.floor((y - this.low[1]) / this.size)))
    for (let r = row(bottom); r <= row(top); r++) {
      const from = this.starts[r * this.columns + column(left)]
      const to = this.starts[r * this.columns + column(right) + 1]
      for (let k = from; k < to; k++) run(this.held[k])
    }
  }

  /** Counts the points of each cell, then puts them where those of the cells before end. */
  private sort(count: number): void {
    const cells = Uint32Array.from({ length: count }, (_, i) => this.cell(i))
    for (const cell of cells) this.starts[cell + 1]++
    for (let c = 0; c < this.starts.length - 1; c++) this.starts[c + 1] += this.starts[c]
    const next = this.starts.slice()
    cells.forEach((cell, i) => (this.held[next[cell]++] = i))
  }

  private cell(i: number): number {
    const column = Math.min(this.columns - 1, Math.floor((this.places[2 * i] - this.low[0]) / this.size))
    const row = Math.min(this.rows - 1, Math.floor((this.places[2 * i + 1] - this.low[1]) / this.size))
    return row * this.columns + column
  }
}

/** Whether a place is within a polygon: a ray from it crosses the outline an odd number of times. */
export function inside(polygon: [number, number][], x: number, y: number): boolean {
  let odd = false
  polygon.forEach(([ax, ay], k) => {
    const [bx, by] = polygon[(k + 1) % polygon.length]
    if (ay > y !== by > y && x < ax + ((y - ay) / (by - ay)) * (bx - ax)) odd = !odd
  })
  return odd
}
