// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {PDP} from "../../../contracts/lib/PDP.sol";
import {Modular} from "../../../contracts/lib/Modular.sol";

/// @title The verifier's insides, for tests; never deployed with it
/// @dev Memory is dirtied first: what relies on fresh memory being zero fails here, and not only one day.
contract PDPHarness {
    /// @notice Which of `mul4`'s three pointers are the same.
    enum Alias {
        None,
        OutputIsX,
        OutputIsY,
        YIsX,
        All
    }

    /// @notice 4·x·y mod N, with x, y and N as they are afterwards.
    function mul4(bytes calldata modulus, bytes calldata x, bytes calldata y, Alias what)
        external
        view
        returns (bytes memory result, bytes memory xAfter, bytes memory yAfter, bytes memory modulusAfter)
    {
        _dirty();
        uint256 field = Modular.open(modulus);
        uint256 a = Modular.load(x, 0);
        uint256 b = what == Alias.YIsX || what == Alias.All ? a : Modular.load(y, 0);
        uint256 output = Modular.allocate();
        if (what == Alias.OutputIsX || what == Alias.All) output = a;
        if (what == Alias.OutputIsY) output = b;
        Modular.mul4(field, a, b, output);
        return (_bytes(output), _bytes(a), _bytes(b), _bytes(field + 384));
    }

    /// @notice mul4 over and over in one field: nothing is left over from one call that the next one reads.
    function fold(bytes calldata modulus, bytes calldata elements) external view returns (bytes memory) {
        _dirty();
        uint256 field = Modular.open(modulus);
        uint256 result = Modular.load(elements, 0);
        for (uint256 offset = 256; offset < elements.length; offset += 256) {
            Modular.mul4(field, result, Modular.load(elements, offset), result);
        }
        return _bytes(result);
    }

    function power(bytes calldata modulus, bytes calldata base, uint256 exponent, bool inPlace)
        external
        view
        returns (bytes memory)
    {
        _dirty();
        uint256 field = Modular.open(modulus);
        uint256 from = Modular.load(base, 0);
        uint256 output = inPlace ? from : Modular.allocate();
        Modular.power(field, from, exponent, output);
        return _bytes(output);
    }

    /// @notice 2^-1 mod N.
    function half(bytes calldata modulus) external pure returns (bytes memory) {
        _dirty();
        uint256 output = Modular.allocate();
        Modular.half(Modular.open(modulus), output);
        return _bytes(output);
    }

    function inRange(bytes calldata modulus, bytes calldata x) external pure returns (bool) {
        _dirty();
        return Modular.inRange(Modular.open(modulus), Modular.load(x, 0));
    }

    function wordPower(uint256 base, uint256 exponent, uint256 modulus) external view returns (uint256) {
        _dirty();
        return Modular.wordPower(base, exponent, modulus);
    }

    function fullDomainHash(bytes32 seed, uint256 index) external pure returns (bytes memory) {
        _dirty();
        uint256 output = Modular.allocate();
        PDP.fullDomainHash(seed, index, output);
        return _bytes(output);
    }

    function isPrime(uint256 candidate) external view returns (bool) {
        _dirty();
        return PDP.isPrime(candidate);
    }

    function _dirty() private pure {
        assembly ("memory-safe") {
            let at := mload(0x40)
            for { let i := 0 } lt(i, 8192) { i := add(i, 32) } { mstore(add(at, i), not(i)) }
        }
    }

    function _bytes(uint256 element) private pure returns (bytes memory result) {
        result = new bytes(256);
        for (uint256 i = 0; i < 256; i += 32) {
            assembly ("memory-safe") {
                mstore(add(add(result, 32), i), mload(add(element, i)))
            }
        }
    }
}
