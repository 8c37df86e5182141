"""Driver of links whose key comes from another vendor's GS QKD 014 source at each end."""
