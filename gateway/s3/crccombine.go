package s3

// nvmePolynomial is that of CRC-64/NVME, reflected (NVM Express NVM command set specification, "64b CRC polynomial").
const nvmePolynomial = 0x9a6c9329ac4bc9b5

// crcField computes with polynomials over GF(2) modulo a CRC's reflected polynomial: the highest bit of a word is the coefficient of x^0. The CRC of A
// followed by B is CRC(A)·x^(8·len(B)) + CRC(B): the initial and final inversions cancel out. (Mark Adler explains it at
// https://stackoverflow.com/a/23126768.)
type crcField[T uint32 | uint64] struct {
	poly   T
	one    T     // x^0
	powers [48]T // x^(8·2^i): lengths to 2^48 bytes, more than an object can have
}

func newCRCField[T uint32 | uint64](poly T) *crcField[T] {
	f := &crcField[T]{poly: poly, one: ^(^T(0) >> 1)}
	p := f.one >> 8 // x^8
	for i := range f.powers {
		f.powers[i] = p
		p = f.multiply(p, p)
	}
	return f
}

// multiply returns a·b modulo the polynomial.
func (f *crcField[T]) multiply(a, b T) T {
	var p T
	for ; a != 0; a <<= 1 {
		if a&f.one != 0 {
			p ^= b
		}
		carry := b & 1
		b >>= 1
		if carry != 0 {
			b ^= f.poly
		}
	}
	return p
}

// combine returns the CRC of A followed by B, from a = CRC(A), b = CRC(B) and the length of B in bytes. For the first part a is the CRC of nothing: 0.
func (f *crcField[T]) combine(a, b T, length int64) T {
	for i := 0; length > 0 && i < len(f.powers); i++ {
		if length&1 != 0 {
			a = f.multiply(a, f.powers[i])
		}
		length >>= 1
	}
	return a ^ b
}
