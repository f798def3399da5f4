import type { App, Panel } from '../app'
import { h } from '../dom'

export function samplePanel(_app: App): Panel | null {
  return { tab: 'sample', title: 'sample', element: h('div') }
}
