package cli

import (
	"google.golang.org/protobuf/proto"
)

// named is a resource a person knows by name.
type named interface {
	proto.Message
	GetUuid() string
	GetNameLabel() string
}

// changed reports a change: a line for a person, the resource for a program.
func (a *app) changed(kind, what string, item named) error {
	if !a.structured() {
		name := item.GetNameLabel()
		if name == "" {
			name = item.GetUuid()
		}
		a.say("%s %s %s", kind, name, what)
		return nil
	}
	b, err := toJSON(item)
	if err != nil {
		return err
	}
	return a.printJSON(rawJSON(b))
}

// rawJSON is JSON that is written as it is.
type rawJSON []byte

// MarshalJSON implements json.Marshaler.
func (r rawJSON) MarshalJSON() ([]byte, error) { return r, nil }

// collect fetches all pages of a list.
func collect[T any](page func(token string) ([]T, string, error)) ([]T, error) {
	var all []T
	token := ""
	for {
		items, next, err := page(token)
		if err != nil {
			return nil, err
		}
		all = append(all, items...)
		if next == "" {
			return all, nil
		}
		token = next
	}
}
