package mkfs

// crc16Table is the byte-wise table of the reflected polynomial x^16+x^15+x^2+1.
var crc16Table = func() (table [256]uint16) {
	const reflected = 0xA001
	for i := range table {
		sum := uint16(i)
		for range 8 {
			carry := sum & 1
			sum >>= 1
			if carry == 1 {
				sum ^= reflected
			}
		}
		table[i] = sum
	}
	return table
}()

// crc16 continues the checksum of group descriptors over data; the first call gets 0xFFFF (kernel lib/crc16.c).
func crc16(sum uint16, data []byte) uint16 {
	for _, b := range data {
		sum = sum>>8 ^ crc16Table[byte(sum)^b]
	}
	return sum
}
