import type { App, Panel } from '../app'
import { h } from '../dom'

export function walkPanel(_app: App): Panel | null {
  return { tab: 'walk', title: 'walk', element: h('div') }
}
