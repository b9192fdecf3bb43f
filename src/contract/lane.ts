/**
 * Three lanes through the engine. An earlier one goes first, whatever the priorities: its prompts before those of the later ones, and where
 * places or blocks are short a later one gives its own back and computes again. reserved: within what somebody has bought; shared: all
 * others; background: what is left, and nothing while a prompt of the others is on its way.
 */
export type Lane = 'reserved' | 'shared' | 'background'

export const LANE_RANK: Readonly<Record<Lane, number>> = { reserved: 0, shared: 1, background: 2 }
