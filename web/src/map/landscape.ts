// The decoded grid of the plane: what the decoder makes of the middle of each cell, drawn without gaps.
// Cells lie fixed on the plane, on levels of which each halves the cells of the one before, so that what was decoded
// stays while one pans and zooms. A tile holds some cells of a level as one picture.

import type { App, View } from '../app'
import { LATER } from '../engine'
import { imageData } from '../pictures'
import type { Plane } from '../plane'

/** Cells of a tile, each way. */
const CELLS = 8
/** Pixels of the tiles that are kept, about; but always twice as many tiles as are in sight. */
const ROOM = 25e6
/** About how long one question may keep the decoder from following the pointer, in milliseconds. */
const PATIENCE = 8
/** The most pixels of the screen that a cell takes, unless the model's images are larger. */
const WIDE = 48

interface Cell {
  level: number
  column: number
  row: number
}

interface Tile {
  canvas: OffscreenCanvas
  done: Set<number>
}

/** The plane through these latents, and the class to decode in. */
interface Ground {
  plane: Plane
  at: Float32Array
  label: number
}

export class Landscape {
  private tiles = new Map<string, Tile>()
  /** Those of the ground before, which are seen until the new ones are there. */
  private before = new Map<string, Tile>()
  private ground: Ground | null = null
  private wanted: Cell[] = []
  private running = false
  /** Pixels a unit of the plane, and units that a cell is wide, at level 0: that of all points. */
  private whole = 1
  private unit = 1
  private batch = 1
  private most = 0

  constructor(
    private readonly app: App,
    private readonly redraw: () => void,
  ) {}

  /**
   * Asks for what a view lacks. What was asked for another view is forgotten.
   *
   * @param whole pixels a unit where all points are seen: there, a pixel of an image takes a whole number of the screen's
   */
  want(view: View, whole: number, ratio: number, ground: Ground): void {
    const width = this.app.contents.shape[2]
    const unit = (width * Math.max(1, Math.floor((WIDE * ratio) / width))) / ratio / whole
    if (unit !== this.unit) this.forget()
    Object.assign(this, { whole, unit })
    this.stand(ground)
    const level = this.level(view)
    this.most = this.kept(view, level)
    this.wanted = [...this.lacking(view, level - 2), ...this.lacking(view, level)]
    if (!this.running) void this.run()
  }

  stop(): void {
    this.wanted = []
  }

  draw(context: CanvasRenderingContext2D, view: View, ratio: number): void {
    const level = this.level(view)
    const far = (key: string): number => Math.abs(place(key).level - level)
    context.imageSmoothingEnabled = false
    for (const tiles of [this.before, this.tiles]) {
      const keys = [...tiles.keys()].filter((key) => far(key) < 4).sort((a, b) => far(b) - far(a))
      for (const key of keys) this.drawTile(context, view, ratio, key, (tiles.get(key) as Tile).canvas)
    }
  }

  /** Edges are rounded to pixels of the screen, the same for neighbours: neither gaps nor seams. */
  private drawTile(
    context: CanvasRenderingContext2D,
    view: View,
    ratio: number,
    key: string,
    canvas: OffscreenCanvas,
  ): void {
    const { level, column, row } = place(key)
    const [width, height] = this.size(level)
    const edge = (k: number, l: number): number[] =>
      view.toScreen(k * CELLS * width, -l * CELLS * height).map((value) => Math.round(value * ratio))
    const [left, top] = edge(column, row)
    const [right, bottom] = edge(column + 1, row + 1)
    if (right < 0 || bottom < 0 || left > view.width * ratio || top > view.height * ratio) return
    context.drawImage(canvas, left / ratio, top / ratio, (right - left) / ratio, (bottom - top) / ratio)
  }

  private level(view: View): number {
    return Math.round(Math.log2(view.scale / this.whole))
  }

  /** Of a cell, in units of the plane. Rows count downwards, as those of images. */
  private size(level: number): [number, number] {
    const [, height, width] = this.app.contents.shape
    const across = this.unit / 2 ** level
    return [across, (across * height) / width]
  }

  /** How many tiles are kept: with fewer than are in sight, each would push out another for ever. */
  private kept(view: View, level: number): number {
    const [, height, width] = this.app.contents.shape
    const [across, down] = this.size(level).map((size) => CELLS * size * view.scale)
    const inSight = Math.ceil(view.width / across + 1) * Math.ceil(view.height / down + 1)
    return Math.max(2 * inSight, ROOM / (CELLS ** 2 * height * width))
  }

  /** The cells of a level that are in sight and not there, the middle first. */
  private lacking(view: View, level: number): Cell[] {
    const [width, height] = this.size(level)
    const [left, top] = view.toPlane(0, 0)
    const [right, bottom] = view.toPlane(view.width, view.height)
    const middle = [(left + right) / 2 / width - 0.5, -(top + bottom) / 2 / height - 0.5]
    const cells: Cell[] = []
    for (let row = Math.floor(-top / height); row <= Math.floor(-bottom / height); row++) {
      for (let column = Math.floor(left / width); column <= Math.floor(right / width); column++) {
        if (!this.has({ level, column, row })) cells.push({ level, column, row })
      }
    }
    const far = ({ column, row }: Cell): number => (column - middle[0]) ** 2 + (row - middle[1]) ** 2
    return cells.sort((a, b) => far(a) - far(b))
  }

  /** Decodes cell after cell, as many at a time as the decoder does while nobody notices. */
  private async run(): Promise<void> {
    this.running = true
    try {
      // a view that changed meanwhile may want again what has just come
      while (this.wanted.length) await this.next(this.wanted.splice(0, this.batch).filter((cell) => !this.has(cell)))
      this.before = new Map()
      this.redraw()
    } catch (error) {
      this.wanted = []
      this.app.say(`The grid could not be decoded: ${String(error)}`)
    }
    this.running = false
  }

  private async next(cells: Cell[]): Promise<void> {
    const { engine, contents } = this.app
    const { ground, unit } = this
    if (!engine || !ground || !cells.length) return
    const latents = contents.model.latents
    const z = new Float32Array(cells.length * latents)
    cells.forEach((cell, k) => z.set(ground.plane.up(...this.middle(cell), ground.at), k * latents))
    const images = await engine.decode(z, 'landscape', ground.label, LATER)
    if (!images || ground !== this.ground || unit !== this.unit) return
    this.batch = Math.min(64, Math.max(1, Math.round((PATIENCE * cells.length) / Math.max(engine.took ?? 1, 0.1)), 1))
    cells.forEach((cell, k) => this.put(cell, imageData(images, contents.shape, (k * images.length) / cells.length)))
    this.redraw()
  }

  private middle({ level, column, row }: Cell): [number, number] {
    const [width, height] = this.size(level)
    return [(column + 0.5) * width, -(row + 0.5) * height]
  }

  private put(cell: Cell, image: ImageData): void {
    const tile = this.tile(cell) ?? this.make(cell)
    const [left, top] = [within(cell.column), within(cell.row)]
    tile.canvas.getContext('2d')?.putImageData(image, left * image.width, top * image.height)
    tile.done.add(spot(cell.column, cell.row))
  }

  private make(cell: Cell): Tile {
    const [, height, width] = this.app.contents.shape
    const tile = { canvas: new OffscreenCanvas(CELLS * width, CELLS * height), done: new Set<number>() }
    this.tiles.set(name(cell), tile)
    if (this.tiles.size > this.most) this.tiles.delete(this.tiles.keys().next().value as string)
    return tile
  }

  private has(cell: Cell): boolean {
    return this.tile(cell)?.done.has(spot(cell.column, cell.row)) ?? false
  }

  private tile(cell: Cell): Tile | undefined {
    return this.tiles.get(name(cell))
  }

  private stand(ground: Ground): void {
    const old = this.ground
    if (old?.plane === ground.plane && old.label === ground.label && near(old.at, ground.at)) return
    if (old?.plane !== ground.plane) this.forget()
    else if (this.tiles.size && !this.wanted.length) this.before = this.tiles
    this.tiles = new Map()
    this.ground = ground
  }

  private forget(): void {
    this.tiles = new Map()
    this.before = new Map()
  }
}

const name = ({ level, column, row }: Cell): string =>
  `${level}/${Math.floor(column / CELLS)}/${Math.floor(row / CELLS)}`

/** The level of a tile by its name, and its column and row among tiles. */
function place(key: string): Cell {
  const [level, column, row] = key.split('/').map(Number)
  return { level, column, row }
}

const within = (cell: number): number => ((cell % CELLS) + CELLS) % CELLS
const spot = (column: number, row: number): number => within(row) * CELLS + within(column)
const near = (a: Float32Array, b: Float32Array): boolean => a.every((value, d) => Math.abs(value - b[d]) < 1e-4)
