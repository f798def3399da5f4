// All that the user has chosen, in one place: parts of the page read it, change it, and are told of changes.

export type Tab = 'decode' | 'point' | 'region' | 'walk' | 'time' | 'yours' | 'sample'

/** Anchors that a walk has at most. */
export const MOST_ANCHORS = 4

export interface State {
  /** The two latents that span the map, or the principal axes. */
  plane: [number, number] | 'principal'
  /** The middle of the map, in the units of the plane, and how many pixels a unit has; null: all points are seen. */
  view: { x: number; y: number; scale: number } | null
  /** 'class', 'density', or the name of a score. */
  colour: string
  /** Classes that are switched off. */
  hidden: number[]
  /** Whether the decoded grid lies under the points, and whether points are drawn at all. */
  grid: boolean
  dots: boolean
  /** The latents under the pointer, sliders or keys: what the lens decodes. */
  z: number[]
  /** The class to decode in, for a model that knows labels. */
  label: number
  /** The point under the pointer, and the one that was clicked. */
  hovered: number | null
  selected: number | null
  /** The points within the lasso. */
  region: number[]
  /** What a drag on the map does. */
  tool: 'decode' | 'pan' | 'lasso' | 'anchor'
  tab: Tab
  /** Anchors of the walk, each with D latents, how it goes, and whether it is under way. */
  anchors: number[][]
  route: 'straight' | 'sphere'
  walking: boolean
  /** The frame of training that the map shows, or nothing for the trained model. */
  frame: number | null
  temperature: number
  /** Latents of further pictures that the map marks: kept samples, and the user's image. */
  kept: number[][]
  /** The class that each kept sample was decoded in. */
  keptLabels: number[]
  mine: number[] | null
  explain: boolean
}

export class Store {
  private readonly heard: { keys: (keyof State)[]; run: (state: State) => void }[] = []

  constructor(private state: State) {}

  get now(): Readonly<State> {
    return this.state
  }

  /** Changes some keys. Who listens to one whose value is another now is told once. */
  set(change: Partial<State>): void {
    const keys = (Object.keys(change) as (keyof State)[]).filter((key) => !same(change[key], this.state[key]))
    if (!keys.length) return
    this.state = { ...this.state, ...change }
    for (const { keys: wanted, run } of this.heard) if (wanted.some((key) => keys.includes(key))) run(this.state)
  }

  /** Calls a function now, and whenever one of these keys changes. */
  on(keys: (keyof State)[], run: (state: State) => void): void {
    this.heard.push({ keys, run })
    run(this.state)
  }
}

const same = (a: unknown, b: unknown): boolean =>
  a === b || (typeof a === 'object' && JSON.stringify(a) === JSON.stringify(b))
