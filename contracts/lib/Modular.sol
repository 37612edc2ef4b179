// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @title Arithmetic modulo a number of 2048 bits, over the modexp precompile (EIP-198)
/// @dev Elements are 256 bytes in memory, big-endian, named by their pointers. A field is one reusable input of the
/// precompile with the modulus in it, and room for two results behind it:
/// 256 | 32 | 256 | base (256) | exponent (32) | modulus (256) | first (256) | second (256).
/// EIP-2565 prices by the exponent's bits, so its fixed 32 bytes cost nothing.
library Modular {
    /// @notice Opens a field. The modulus is odd, of 256 bytes, its top bit set: whoever calls has checked that.
    function open(bytes calldata modulus) internal pure returns (uint256 field) {
        assembly ("memory-safe") {
            field := mload(0x40)
            mstore(0x40, add(field, 1152))
            mstore(field, 256)
            mstore(add(field, 32), 32)
            mstore(add(field, 64), 256)
            calldatacopy(add(field, 384), modulus.offset, 256)
        }
    }

    /// @notice Room for one element; not cleared.
    function allocate() internal pure returns (uint256 element) {
        assembly ("memory-safe") {
            element := mload(0x40)
            mstore(0x40, add(element, 256))
        }
    }

    /// @notice Copies one element out of calldata, from `offset` on.
    function load(bytes calldata data, uint256 offset) internal pure returns (uint256 element) {
        element = allocate();
        assembly ("memory-safe") {
            calldatacopy(element, add(data.offset, offset), 256)
        }
    }

    /// @notice Where a base may be written for `powerOfBase`.
    function baseOf(uint256 field) internal pure returns (uint256) {
        return field + 96;
    }

    /// @notice 0 < x < N: a second spelling of a number would be a second proof, and 0 satisfies any product.
    function inRange(uint256 field, uint256 x) internal pure returns (bool yes) {
        assembly ("memory-safe") {
            let any := 0
            let decided := 0
            for { let i := 0 } lt(i, 256) { i := add(i, 32) } {
                let a := mload(add(x, i))
                any := or(any, a)
                if iszero(decided) {
                    let b := mload(add(add(field, 384), i))
                    if iszero(eq(a, b)) {
                        decided := 1
                        yes := lt(a, b)
                    }
                }
            }
            yes := and(yes, iszero(iszero(any)))
        }
    }

    /// @notice output = base^exponent mod N.
    function power(uint256 field, uint256 base, uint256 exponent, uint256 output) internal view {
        assembly ("memory-safe") {
            let to := add(field, 96)
            for { let i := 0 } lt(i, 256) { i := add(i, 32) } { mstore(add(to, i), mload(add(base, i))) }
        }
        powerOfBase(field, exponent, output);
    }

    /// @notice As `power`, of what was written to `baseOf`.
    function powerOfBase(uint256 field, uint256 exponent, uint256 output) internal view {
        assembly ("memory-safe") {
            mstore(add(field, 352), exponent)
            // Arguments are evaluated from the right: the call comes first. Without gas it returns nothing.
            if iszero(and(eq(returndatasize(), 256), staticcall(gas(), 5, field, 640, output, 256))) { revert(0, 0) }
        }
    }

    /// @notice output = 4·x·y mod N, by (x + y)² - (x - y)². The output may be an input.
    /// @dev Spelled out word by word: a loop costs as much again as what is in it, and this is where the gas goes.
    function mul4(uint256 field, uint256 x, uint256 y, uint256 output) internal view {
        assembly ("memory-safe") {
            function plus(to, a, b, carry) -> next {
                let word := mload(a)
                let t := add(word, mload(b))
                let u := add(t, carry)
                mstore(to, u)
                next := or(lt(t, word), lt(u, t))
            }
            function minus(to, a, b, borrow) -> next {
                let word := mload(a)
                let other := mload(b)
                let t := sub(word, other)
                mstore(to, sub(t, borrow))
                next := or(lt(word, other), lt(t, borrow))
            }

            let base := add(field, 96)
            let modulus := add(field, 384)
            let first := add(field, 640)
            let second := add(field, 896)

            let carry := 0
            carry := plus(add(base, 224), add(x, 224), add(y, 224), carry)
            carry := plus(add(base, 192), add(x, 192), add(y, 192), carry)
            carry := plus(add(base, 160), add(x, 160), add(y, 160), carry)
            carry := plus(add(base, 128), add(x, 128), add(y, 128), carry)
            carry := plus(add(base, 96), add(x, 96), add(y, 96), carry)
            carry := plus(add(base, 64), add(x, 64), add(y, 64), carry)
            carry := plus(add(base, 32), add(x, 32), add(y, 32), carry)
            carry := plus(base, x, y, carry)
            // x + y < 2N, and N has all 2048 bits: taking it away once is enough.
            if carry {
                carry := 0
                carry := minus(add(base, 224), add(base, 224), add(modulus, 224), carry)
                carry := minus(add(base, 192), add(base, 192), add(modulus, 192), carry)
                carry := minus(add(base, 160), add(base, 160), add(modulus, 160), carry)
                carry := minus(add(base, 128), add(base, 128), add(modulus, 128), carry)
                carry := minus(add(base, 96), add(base, 96), add(modulus, 96), carry)
                carry := minus(add(base, 64), add(base, 64), add(modulus, 64), carry)
                carry := minus(add(base, 32), add(base, 32), add(modulus, 32), carry)
                carry := minus(base, base, modulus, carry)
            }
            mstore(add(field, 352), 2)
            if iszero(and(eq(returndatasize(), 256), staticcall(gas(), 5, field, 640, first, 256))) { revert(0, 0) }

            let larger := x
            let smaller := y
            for { let i := 0 } lt(i, 256) { i := add(i, 32) } {
                let a := mload(add(x, i))
                let b := mload(add(y, i))
                if iszero(eq(a, b)) {
                    if lt(a, b) {
                        larger := y
                        smaller := x
                    }
                    break
                }
            }
            carry := 0
            carry := minus(add(base, 224), add(larger, 224), add(smaller, 224), carry)
            carry := minus(add(base, 192), add(larger, 192), add(smaller, 192), carry)
            carry := minus(add(base, 160), add(larger, 160), add(smaller, 160), carry)
            carry := minus(add(base, 128), add(larger, 128), add(smaller, 128), carry)
            carry := minus(add(base, 96), add(larger, 96), add(smaller, 96), carry)
            carry := minus(add(base, 64), add(larger, 64), add(smaller, 64), carry)
            carry := minus(add(base, 32), add(larger, 32), add(smaller, 32), carry)
            carry := minus(base, larger, smaller, carry)
            if iszero(and(eq(returndatasize(), 256), staticcall(gas(), 5, field, 640, second, 256))) { revert(0, 0) }

            carry := 0
            carry := minus(add(output, 224), add(first, 224), add(second, 224), carry)
            carry := minus(add(output, 192), add(first, 192), add(second, 192), carry)
            carry := minus(add(output, 160), add(first, 160), add(second, 160), carry)
            carry := minus(add(output, 128), add(first, 128), add(second, 128), carry)
            carry := minus(add(output, 96), add(first, 96), add(second, 96), carry)
            carry := minus(add(output, 64), add(first, 64), add(second, 64), carry)
            carry := minus(add(output, 32), add(first, 32), add(second, 32), carry)
            carry := minus(output, first, second, carry)
            if carry {
                carry := 0
                carry := plus(add(output, 224), add(output, 224), add(modulus, 224), carry)
                carry := plus(add(output, 192), add(output, 192), add(modulus, 192), carry)
                carry := plus(add(output, 160), add(output, 160), add(modulus, 160), carry)
                carry := plus(add(output, 128), add(output, 128), add(modulus, 128), carry)
                carry := plus(add(output, 96), add(output, 96), add(modulus, 96), carry)
                carry := plus(add(output, 64), add(output, 64), add(modulus, 64), carry)
                carry := plus(add(output, 32), add(output, 32), add(modulus, 32), carry)
                carry := plus(output, output, modulus, carry)
            }
        }
    }

    /// @notice output = 2^-1 mod N = (N + 1) / 2, which for odd N is (N >> 1) + 1.
    function half(uint256 field, uint256 output) internal pure {
        assembly ("memory-safe") {
            let modulus := add(field, 384)
            let high := 0
            for { let i := 0 } lt(i, 256) { i := add(i, 32) } {
                let a := mload(add(modulus, i))
                mstore(add(output, i), or(shr(1, a), shl(255, high)))
                high := and(a, 1)
            }
            // N >> 1 is below 2^2047: the carry ends before it leaves.
            for { let i := 256 } i {} {
                i := sub(i, 32)
                let u := add(mload(add(output, i)), 1)
                mstore(add(output, i), u)
                if u { break }
            }
        }
    }

    /// @notice Whether two elements are the same.
    function equal(uint256 x, uint256 y) internal pure returns (bool same) {
        assembly ("memory-safe") {
            same := eq(keccak256(x, 256), keccak256(y, 256))
        }
    }

    /// @notice base^exponent mod modulus of one word each; the modulus isn't zero.
    function wordPower(uint256 base, uint256 exponent, uint256 modulus) internal view returns (uint256 result) {
        assembly ("memory-safe") {
            let at := mload(0x40)
            mstore(at, 32)
            mstore(add(at, 32), 32)
            mstore(add(at, 64), 32)
            mstore(add(at, 96), base)
            mstore(add(at, 128), exponent)
            mstore(add(at, 160), modulus)
            if iszero(and(eq(returndatasize(), 32), staticcall(gas(), 5, at, 192, 0, 32))) { revert(0, 0) }
            result := mload(0)
        }
    }
}
