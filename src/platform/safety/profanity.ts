/** The managed list of profanity: plain English words that are rude in nearly every use. Words with a decent meaning are left out. */
export const PROFANITY: readonly string[] = [
  ...['arsehole', 'arseholes', 'asshole', 'assholes', 'bastard', 'bastards', 'bitch', 'bitches', 'bitching', 'bollocks', 'bullshit'],
  ...['clusterfuck', 'cocksucker', 'cunt', 'cunts', 'dickhead', 'dickheads', 'dipshit', 'dumbass', 'fuck', 'fucked', 'fucker', 'fuckers'],
  ...['fuckhead', 'fucking', 'fucks', 'fuckwit', 'goddamn', 'horseshit', 'jackass', 'motherfucker', 'motherfuckers', 'motherfucking'],
  ...['piss off', 'pissed off', 'prick', 'pricks', 'shit', 'shits', 'shithead', 'shitty', 'shitting', 'slut', 'sluts', 'son of a bitch'],
  ...['twat', 'twats', 'wanker', 'wankers', 'whore', 'whores'],
]
