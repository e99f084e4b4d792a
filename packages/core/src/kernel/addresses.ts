import { BlockList, isIP } from 'node:net'

/** Not of the public internet: this machine, private and shared networks, links, documentation, multicast, and ways round. */
const ranges: readonly (readonly [string, number, 'ipv4' | 'ipv6'])[] = [
  ['0.0.0.0', 8, 'ipv4'],
  ['10.0.0.0', 8, 'ipv4'],
  ['100.64.0.0', 10, 'ipv4'],
  ['127.0.0.0', 8, 'ipv4'],
  ['169.254.0.0', 16, 'ipv4'],
  ['172.16.0.0', 12, 'ipv4'],
  ['192.0.0.0', 24, 'ipv4'],
  ['192.0.2.0', 24, 'ipv4'],
  ['192.88.99.0', 24, 'ipv4'],
  ['192.168.0.0', 16, 'ipv4'],
  ['198.18.0.0', 15, 'ipv4'],
  ['198.51.100.0', 24, 'ipv4'],
  ['203.0.113.0', 24, 'ipv4'],
  ['224.0.0.0', 4, 'ipv4'],
  ['240.0.0.0', 4, 'ipv4'],
  ['::', 96, 'ipv6'],
  ['64:ff9b::', 96, 'ipv6'],
  ['64:ff9b:1::', 48, 'ipv6'],
  ['100::', 64, 'ipv6'],
  ['2001::', 23, 'ipv6'],
  ['2001:db8::', 32, 'ipv6'],
  ['2002::', 16, 'ipv6'],
  ['3fff::', 20, 'ipv6'],
  ['5f00::', 16, 'ipv6'],
  ['fc00::', 7, 'ipv6'],
  ['fe80::', 10, 'ipv6'],
  ['fec0::', 10, 'ipv6'],
  ['ff00::', 8, 'ipv6'],
]

let refused: BlockList | undefined

function refusedRanges(): BlockList {
  if (!refused) {
    refused = new BlockList()
    for (const range of ranges) refused.addSubnet(...range)
  }
  return refused
}

const familyOf = (address: string): 'ipv4' | 'ipv6' | null => {
  const version = isIP(address)
  return version === 4 ? 'ipv4' : version === 6 ? 'ipv6' : null
}

/** True for an address that anybody on the internet may reach. */
export function isPublicAddress(address: string): boolean {
  const plain = address.replace(/%.*$/, '')
  const family = familyOf(plain)
  return family !== null && !refusedRanges().check(plain, family)
}

/** Addresses, as single ones or as networks (`10.1.0.0/16`), to be looked up. Throws a `RangeError` for anything else. */
export function addressSet(given: readonly string[]): (address: string) => boolean {
  const list = new BlockList()
  for (const each of given) {
    const [address = '', prefix, ...more] = each.split('/')
    const family = familyOf(address)
    const bits = prefix === undefined ? (family === 'ipv4' ? 32 : 128) : Number(prefix)
    const fits =
      family !== null && more.length === 0 && /^\d{1,3}$/.test(prefix ?? '0') && bits <= (family === 'ipv4' ? 32 : 128)
    if (!fits) throw new RangeError(`${JSON.stringify(each)} is neither an address nor a network`)
    list.addSubnet(address, bits, family)
  }
  return (address) => {
    const plain = address.replace(/%.*$/, '')
    const family = familyOf(plain)
    return family !== null && list.check(plain, family)
  }
}
