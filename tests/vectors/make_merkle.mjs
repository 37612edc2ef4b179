// Makes merkle.json with OpenZeppelin's own package, so that twins/merkle.py is held against the trees that the
// contracts' MerkleProof was written for. From the repository's root:
//
//   node tests/vectors/make_merkle.mjs > tests/vectors/merkle.json
import { createHash } from 'node:crypto'
import { createRequire } from 'node:module'
import { StandardMerkleTree } from '@openzeppelin/merkle-tree'

const { version } = createRequire(import.meta.url)('@openzeppelin/merkle-tree/package.json')
const CONTRIBUTION = ['address', 'bytes32', 'uint64', 'bytes32'] // twins.contribution.LEAF_TYPES
const ROSTER = ['address'] // twins.updates.roster_tree

const hex = (text, bytes) => '0x' + createHash('sha256').update(text).digest('hex').slice(0, 2 * bytes)
const contribution = i => [
  hex(`device ${i}`, 20),
  hex(`update ${i}`, 32),
  i === 0 ? '0' : i === 1 ? '18446744073709551615' : String(i * 1000),
  hex(`signature ${i}`, 32)
]
const kinds = [[CONTRIBUTION, contribution], [ROSTER, i => [hex(`device ${i}`, 20)]]]

const trees = []
for (const [types, value] of kinds) {
  for (const count of [1, 2, 3, 5, 7, 8, 100]) {
    const values = Array.from({ length: count }, (_, i) => value(i))
    const tree = StandardMerkleTree.of(values, types)
    // All proofs of 100 leaves would say nothing more than these.
    const proven = values.map((_, i) => i).filter(i => count < 100 || i % 13 === 0)
    trees.push({ types, values, root: tree.root, proofs: proven.map(i => ({ index: i, proof: tree.getProof(i) })) })
  }
}
console.log(JSON.stringify({ source: `@openzeppelin/merkle-tree ${version}, by make_merkle.mjs`, trees }, null, 1))
