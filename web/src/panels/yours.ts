import type { App, Panel } from '../app'
import { h } from '../dom'

export function yoursPanel(_app: App): Panel | null {
  return { tab: 'yours', title: 'yours', element: h('div') }
}
