import type { App, Panel } from '../app'
import { h } from '../dom'

export function timePanel(_app: App): Panel | null {
  return { tab: 'time', title: 'time', element: h('div') }
}
