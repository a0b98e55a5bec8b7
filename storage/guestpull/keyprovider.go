package guestpull

import (
	"context"
	"encoding/json"
	"errors"

	"github.com/trusted-store/trusted-store/internal/keyservice"
)

// The key provider protocol, as far as it is spoken here.
type (
	unwrapInput struct {
		Op     string       `json:"op"`
		Wrap   struct{}     `json:"keywrapparams"`
		Unwrap unwrapParams `json:"keyunwrapparams"`
	}
	unwrapParams struct {
		Config struct {
			Parameters map[string][][]byte
		} `json:"dc"`
		Annotation []byte `json:"annotation"`
	}
	unwrapOutput struct {
		Results struct {
			Options providerBytes `json:"optsdata"`
		} `json:"keyunwrapresults"`
	}
)

// providerBytes are bytes as key providers write them: in base64, or as a list of
// numbers.
type providerBytes []byte

// UnmarshalJSON is part of json.Unmarshaler.
func (b *providerBytes) UnmarshalJSON(text []byte) error {
	if len(text) > 0 && text[0] == '"' {
		return json.Unmarshal(text, (*[]byte)(b))
	}
	var numbers []uint16 // of uint8 it would expect base64
	if err := json.Unmarshal(text, &numbers); err != nil {
		return err
	}
	defer clear(numbers)
	for _, n := range numbers {
		if n > 0xff {
			return errors.New("a number that is no byte")
		}
		*b = append(*b, byte(n))
	}
	return nil
}

// unwrap asks for one key.
func (k *layerKey) unwrap(ctx context.Context, socket string, annotation []byte) error {
	input := unwrapInput{Op: "keyunwrap", Unwrap: unwrapParams{Annotation: annotation}}
	input.Unwrap.Config.Parameters = map[string][][]byte{}
	text, err := json.Marshal(input)
	if err != nil {
		return err
	}
	answer, err := keyservice.UnwrapKey(ctx, socket, text)
	if err != nil {
		return err
	}
	defer answer.Wipe()
	var output unwrapOutput
	err = json.Unmarshal(answer.Bytes(), &output)
	defer clear(output.Results.Options)
	if err != nil || json.Unmarshal(output.Results.Options, &k.options.Private) != nil {
		return errors.New("the key provider's answer is none of its protocol") // and may be a key: it is not repeated
	}
	return nil
}
