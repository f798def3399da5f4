import type { App, Panel } from '../app'
import { h } from '../dom'

export function pointPanel(_app: App): Panel | null {
  return { tab: 'point', title: 'point', element: h('div') }
}
