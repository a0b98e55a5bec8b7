package cryptsetup

// Rules that callers decide on. [Rules] lists all of them.
const (
	// RuleHeaderNone: no LUKS2 magic in either place.
	RuleHeaderNone = "header.none"
	// RuleHeaderTruncated: the input ends inside the two copies.
	RuleHeaderTruncated = "header.truncated"
	// RuleChecksum: the checksum of a copy is wrong.
	RuleChecksum = "binary.csum"
	// RuleSeqID: the copies have different sequence numbers.
	RuleSeqID = "copies.seqid"
	// RuleUUID: not the volume that Profile.ExpectUUID names.
	RuleUUID = "profile.uuid"
	// RuleFingerprint: not the header that Profile.ExpectFingerprint names.
	RuleFingerprint = "profile.fingerprint"
	// RuleCipher: the cipher of another integrity than Profile.Integrity requires.
	RuleCipher = "profile.cipher"
	// RuleIntegrity: not the integrity that Profile.Integrity requires.
	RuleIntegrity = "segment.integrity"
	// RuleArgon2Memory: a key slot asks for more memory than
	// Profile.MaxArgon2Memory, as cryptsetup's own defaults do.
	RuleArgon2Memory = "keyslot.kdf.memory"
	// RuleOmitted stands for violations beyond the first 16 of a rule.
	RuleOmitted = "violations.omitted"
)

// Rules returns the name of every rule of this profile version, in the order
// of the format. The names are stable: reports and tests may compare them.
func Rules() []string {
	return []string{
		RuleHeaderNone, RuleHeaderTruncated,
		"binary.magic", "binary.version", "binary.hdr_size", "binary.seqid", "binary.label",
		"binary.csum_alg", "binary.uuid", "binary.subsystem", "binary.hdr_offset",
		"binary.padding", RuleChecksum, RuleUUID, RuleFingerprint, RuleCipher,
		RuleSeqID, "copies.uuid", "copies.label", "copies.subsystem", "copies.json",
		"json.unterminated", "json.trailing", "json.syntax", "json.depth", "json.whitespace",
		"json.string", "json.duplicate-key", "json.wrong-case-key", "json.unknown-key",
		"metadata", "metadata.keyslots", "metadata.tokens", "metadata.segments",
		"metadata.digests", "metadata.config",
		"keyslot", "keyslot.id", "keyslot.type", "keyslot.key_size", "keyslot.priority",
		"keyslot.af", "keyslot.af.type", "keyslot.af.stripes", "keyslot.af.hash",
		"keyslot.area", "keyslot.area.type", "keyslot.area.offset", "keyslot.area.size",
		"keyslot.area.encryption", "keyslot.area.key_size", "keyslot.area.overlap", "keyslot.area.truncated",
		"keyslot.kdf", "keyslot.kdf.type", "keyslot.kdf.hash", "keyslot.kdf.iterations",
		"keyslot.kdf.time", RuleArgon2Memory, "keyslot.kdf.cpus", "keyslot.kdf.salt",
		"token", "token.id", "token.keyslots", "token.version", "token.epoch", "token.mac",
		"segment", "segment.id", "segment.type", "segment.offset", "segment.size", "segment.iv_tweak",
		"segment.encryption", "segment.sector_size", "segment.flags",
		RuleIntegrity, "segment.integrity.type", "segment.integrity.journal_encryption",
		"segment.integrity.journal_integrity", "segment.integrity.key_size",
		"digest", "digest.id", "digest.type", "digest.keyslots", "digest.segments", "digest.hash",
		"digest.iterations", "digest.salt", "digest.digest",
		"config", "config.json_size", "config.keyslots_size", "config.flags", "config.requirements",
		RuleOmitted,
	}
}
