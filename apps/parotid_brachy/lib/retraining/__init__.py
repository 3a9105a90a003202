"""From approved contours to a better model: snapshot, comparison, gate, promotion, retention."""
