//! Draws a replay as one HTML file that works offline.
