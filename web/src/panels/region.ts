import type { App, Panel } from '../app'
import { h } from '../dom'

export function regionPanel(_app: App): Panel | null {
  return { tab: 'region', title: 'region', element: h('div') }
}
