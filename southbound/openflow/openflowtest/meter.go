package openflowtest

import (
	"encoding/binary"
	"slices"
)

// Commands and errors of meters (OpenFlow 1.3.5 sections 7.3.4.4 and 7.4.4).
const (
	meterAdd    uint16 = 0
	meterModify uint16 = 1
	meterDelete uint16 = 2

	meterModFailed  uint16 = 12
	meterExists     uint16 = 1
	meterInvalid    uint16 = 2
	meterUnknown    uint16 = 3
	meterBadCommand uint16 = 6
	meterOut        uint16 = 9
)

// meterMod executes an OFPT_METER_MOD. Flows are not looked at: one that names a meter
// stays when the meter goes.
func (c *Session) meterMod(m Message) error {
	if len(m.Body) < 8 {
		return c.refuse(m, badRequest, badRequestLen)
	}
	if c.isSlave() {
		return c.refuse(m, badRequest, badRequestSlave)
	}
	command, id := binary.BigEndian.Uint16(m.Body), binary.BigEndian.Uint32(m.Body[4:])
	if failed := c.sw.changeMeter(command, id, m.Body); failed != 0 {
		return c.refuse(m, meterModFailed, failed)
	}
	return nil
}

// changeMeter executes a command, or returns the error's code.
func (s *Switch) changeMeter(command uint16, id uint32, body []byte) (failed uint16) {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, there := s.meters[id]
	switch {
	case command == meterDelete:
		delete(s.meters, id)
		return 0
	case command != meterAdd && command != meterModify:
		return meterBadCommand
	case id == 0:
		return meterInvalid
	case command == meterAdd && there:
		return meterExists
	case command == meterModify && !there:
		return meterUnknown
	case !there && len(s.meters) >= int(s.cfg.MaxMeters):
		return meterOut
	}
	s.meters[id] = slices.Clone(body)
	return 0
}

// meterFeatures is an ofp_meter_features.
func (s *Switch) meterFeatures() []byte {
	body := make([]byte, 16)
	binary.BigEndian.PutUint32(body, s.cfg.MaxMeters)
	return body
}

// meterConfigs lists all meters, each an ofp_meter_config.
func (s *Switch) meterConfigs() [][]byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	var items [][]byte
	for _, mod := range s.meters {
		config := slices.Clone(mod)
		binary.BigEndian.PutUint16(config, uint16(len(config))) // where the command was
		items = append(items, config)
	}
	return items
}
