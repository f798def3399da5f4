// What every part of the page is given.

import type { Contents } from './contents'
import type { Data } from './data'
import type { Engine } from './engine'
import type { Plane } from './plane'
import type { Album } from './pictures'
import type { Store, Tab } from './store'

/** How the plane lies on the screen: pixels of the map's canvas from its upper left corner. */
export interface View {
  width: number
  height: number
  /** Pixels a unit of the plane. */
  scale: number
  toScreen(x: number, y: number): [number, number]
  toPlane(left: number, top: number): [number, number]
}

/** The map, as other parts see it. */
export interface WorldMap {
  readonly view: View
  readonly plane: Plane
  /** Draws something over the points of the trained model, whenever these are drawn; the later, the higher. */
  over(draw: (context: CanvasRenderingContext2D, view: View) => void): void
  /** Draws the map anew at the next frame. */
  redraw(): void
}

export interface App {
  contents: Contents
  data: Data
  store: Store
  /** The model, or nothing where it cannot run. */
  engine: Engine | null
  /** Pictures of the points, where the page holds them. */
  album: Album | null
  map: WorldMap
  /** Tells something in the line for it, which screen readers speak. */
  say(text: string): void
}

/** A panel beside the map, one of which is open. */
export interface Panel {
  tab: Tab
  title: string
  element: HTMLElement
}
