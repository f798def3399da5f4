import type { App, Panel } from '../app'
import { h } from '../dom'

export function decodePanel(_app: App): Panel | null {
  return { tab: 'decode', title: 'decode', element: h('div') }
}
