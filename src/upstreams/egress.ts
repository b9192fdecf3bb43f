/**
 * What may be connected to: only hosts that the operator listed, at an address that was looked at. A name is resolved once, every
 * address is judged, and the connection goes to a judged one, so that a second answer of the resolver changes nothing.
 */
import { lookup as systemLookup } from 'node:dns/promises'
import { BlockList, isIP, type LookupFunction } from 'node:net'
import { InferdError } from '#contract/errors'

export interface EgressHost {
  /** As it stands in the URL: a name or an address, lower case, without a port. */
  readonly host: string
  /** Whether it may have an address of this machine or of a private network. */
  readonly allowPrivate: boolean
}

export interface ResolvedAddress {
  readonly address: string
  readonly family: 4 | 6
}

export type Resolve = (host: string) => Promise<readonly ResolvedAddress[]>

/** Not of the public internet: IANA special-purpose registries, IPv4 and IPv6. */
const PRIVATE = new BlockList()
for (const [network, prefix] of [
  ['0.0.0.0', 8],
  ['10.0.0.0', 8],
  ['100.64.0.0', 10],
  ['127.0.0.0', 8],
  ['169.254.0.0', 16],
  ['172.16.0.0', 12],
  ['192.0.0.0', 24],
  ['192.0.2.0', 24],
  ['192.88.99.0', 24],
  ['192.168.0.0', 16],
  ['198.18.0.0', 15],
  ['198.51.100.0', 24],
  ['203.0.113.0', 24],
  ['224.0.0.0', 3],
] as const)
  PRIVATE.addSubnet(network, prefix, 'ipv4')
/** Everything outside of global unicast, and the parts of it that stand for something else (Teredo, documentation, 6to4). */
const PUBLIC_V6 = new BlockList()
PUBLIC_V6.addSubnet('2000::', 3, 'ipv6')
const SPECIAL_V6 = new BlockList()
for (const [network, prefix] of [
  ['2001::', 23],
  ['2001:db8::', 32],
  ['2002::', 16],
  ['3fff::', 20],
] as const)
  SPECIAL_V6.addSubnet(network, prefix, 'ipv6')

/** Link-local and the metadata services of clouds: never connected to, listed or not. */
const NEVER = new BlockList()
NEVER.addSubnet('169.254.0.0', 16, 'ipv4')
NEVER.addSubnet('0.0.0.0', 8, 'ipv4')
NEVER.addSubnet('224.0.0.0', 3, 'ipv4')
NEVER.addSubnet('fe80::', 10, 'ipv6')
NEVER.addSubnet('ff00::', 8, 'ipv6')
NEVER.addAddress('::', 'ipv6')
NEVER.addAddress('fd00:ec2::254', 'ipv6')
NEVER.addAddress('100.100.100.200', 'ipv4')

/** public | private (needs allowPrivate) | never. IPv6 forms of IPv4 addresses are judged as what they mean. */
export function judgeAddress(address: string): 'public' | 'private' | 'never' {
  const family = isIP(address)
  if (family === 4) return NEVER.check(address, 'ipv4') ? 'never' : PRIVATE.check(address, 'ipv4') ? 'private' : 'public'
  if (family !== 6) return 'never'
  const mapped = mappedIpv4(address)
  if (mapped !== null) return judgeAddress(mapped)
  if (NEVER.check(address, 'ipv6')) return 'never'
  return PUBLIC_V6.check(address, 'ipv6') && !SPECIAL_V6.check(address, 'ipv6') ? 'public' : 'private'
}

export class Egress {
  private readonly hosts: ReadonlyMap<string, EgressHost>
  private readonly resolve: Resolve

  constructor(hosts: readonly EgressHost[], resolve: Resolve = resolveBySystem) {
    this.hosts = new Map(hosts.map((host) => [host.host.toLowerCase(), host]))
    this.resolve = resolve
  }

  /** Throws invalid_parameter for a URL that could never be asked; asks no resolver. */
  checkUrl(text: string): URL {
    const url = URL.parse(text)
    if (url === null || (url.protocol !== 'http:' && url.protocol !== 'https:')) throw refused('an upstream has an http or https URL')
    if (url.username !== '' || url.password !== '' || url.hash !== '' || url.search !== '')
      throw refused('the URL of an upstream holds no user, no query and no fragment')
    if (!this.hosts.has(hostOf(url))) throw refused(`the host '${hostOf(url)}' is not in egress.hosts`)
    return url
  }

  /** An address to connect to. Throws upstream_failed; the words are for the operator, and name no address. */
  async addressOf(url: URL): Promise<ResolvedAddress> {
    return (await this.addressesOf(url))[0]!
  }

  /** As addressOf for an address in the URL, which a connector never looks up; a name is left to the connector's lookup. */
  async checkAddress(url: URL): Promise<void> {
    if (isIP(hostOf(url)) !== 0) await this.addressOf(url)
  }

  /** All that may be connected to, at least one; a connector tries them in turn. */
  private async addressesOf(url: URL): Promise<readonly ResolvedAddress[]> {
    const host = hostOf(url)
    const listed = this.hosts.get(host)
    if (listed === undefined) throw new InferdError('upstream_failed', 'the host of the upstream is not allowed')
    const family = isIP(host)
    const addresses = family === 0 ? await this.resolveName(host) : [{ address: host, family: family as 4 | 6 }]
    const usable = addresses.filter(({ address }) => {
      const judgement = judgeAddress(address)
      return judgement === 'public' || (judgement === 'private' && listed.allowPrivate)
    })
    // One bad address among good ones is a name that plays with us.
    if (usable.length === 0 || usable.length < addresses.length)
      throw new InferdError('upstream_failed', 'the host of the upstream has an address that is not allowed')
    return usable
  }

  /** For a connector: the resolver and the judgement in one, asked at each new connection. */
  readonly lookup: LookupFunction = (host, { all }, callback) => {
    this.addressesOf(new URL(`http://${host}/`)).then(
      (addresses) => (all === true ? callback(null, [...addresses]) : callback(null, addresses[0]!.address, addresses[0]!.family)),
      (error: unknown) => callback(error as NodeJS.ErrnoException, ''),
    )
  }

  private async resolveName(host: string): Promise<readonly ResolvedAddress[]> {
    try {
      return await this.resolve(host)
    } catch (cause) {
      throw new InferdError('upstream_failed', 'the name of the upstream cannot be resolved', { cause })
    }
  }
}

/** Without the brackets of an IPv6 address. The URL parser has already turned 0x7f.1 and 2130706433 into 127.0.0.1. */
function hostOf({ hostname }: URL): string {
  return hostname.replace(/^\[(.*)\]$/, '$1').toLowerCase()
}

function mappedIpv4(address: string): string | null {
  // The URL parser gives the one canonical form of an IPv6 address.
  const canonical = URL.parse(`http://[${address.replace(/%.*$/, '')}]/`)?.hostname.slice(1, -1) ?? ''
  const words = /^(?:::ffff:|::|64:ff9b::|64:ff9b:1::)([0-9a-f]{1,4}):([0-9a-f]{1,4})$/.exec(canonical)
  if (words === null) return null
  const [high, low] = [Number.parseInt(words[1]!, 16), Number.parseInt(words[2]!, 16)]
  return [high >> 8, high & 0xff, low >> 8, low & 0xff].join('.')
}

async function resolveBySystem(host: string): Promise<readonly ResolvedAddress[]> {
  const found = await systemLookup(host, { all: true })
  return found.map(({ address, family }) => ({ address, family: family === 6 ? 6 : 4 }))
}

function refused(words: string): InferdError {
  return new InferdError('invalid_parameter', words, { param: '--config' })
}
