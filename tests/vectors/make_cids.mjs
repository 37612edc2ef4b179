// Makes cids.json with the reference UnixFS importer of Helia, so that twins/content.py is held against another
// implementation's trees. Not part of the build; to run it again, in an empty folder outside the repository:
//
//   npm install ipfs-unixfs-importer@17.1.1 blockstore-core@7.0.1
//   cp …/tests/vectors/make_cids.mjs . && node make_cids.mjs > …/tests/vectors/cids.json
import { importer } from 'ipfs-unixfs-importer'
import { fixedSize } from 'ipfs-unixfs-importer/chunker'
import { balanced } from 'ipfs-unixfs-importer/layout'
import { BlackHoleBlockstore } from 'blockstore-core/black-hole'

const MiB = 1 << 20
const sizes = [0, 1, MiB - 1, MiB, MiB + 1, 2 * MiB, 5 * MiB, 174 * MiB, 174 * MiB + 1, 349 * MiB]

// Byte i is (31 i + floor(i / 2^20)) mod 251, i counted from its block: no two neighbouring blocks are alike.
function * content (size) {
  if (size === 0) yield new Uint8Array(0)
  for (let block = 0; block * MiB < size; block++) {
    yield Uint8Array.from({ length: Math.min(MiB, size - block * MiB) }, (_, i) => (31 * i + block) % 251)
  }
}

const vectors = []
for (const size of sizes) {
  let root
  for await (root of importer([{ path: 'artifact', content: content(size) }], new BlackHoleBlockstore(), {
    cidVersion: 1,
    rawLeaves: true,
    leafType: 'raw',
    reduceSingleLeafToSelf: true,
    wrapWithDirectory: false,
    chunker: fixedSize({ chunkSize: MiB }),
    layout: balanced({ maxChildrenPerNode: 174 })
  })) ;
  vectors.push({ size, cid: root.cid.toString() })
}
console.log(JSON.stringify({
  source: 'ipfs-unixfs-importer 17.1.1, by make_cids.mjs; byte i of block b is (31 i + b) mod 251',
  vectors
}, null, 1))
